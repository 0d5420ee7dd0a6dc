"""Every type: definitions, literals, how SELECT is asked, what an event says. The oracle is MySQL, not our decoders."""

# ruff: noqa: E501  a case stays on its line

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from source_reader import Seen, SourceReader


@dataclass(frozen=True, slots=True)
class Oracle:
    """How SELECT is asked for a column, and what its answer looks like in an event."""

    select: str
    convert: Callable[[Any], Any]
    normal: Callable[[Any], Any] = lambda value: value  # applied to the event's value


def exactly(text: str) -> Any:
    """JSON in which `1` and `1.0` differ, and no digit is lost."""
    return json.loads(text, parse_int=lambda digits: ("int", int(digits)), parse_float=lambda d: ("float", Decimal(d)))


def _float32(value: float) -> bytes:
    return struct.pack("<f", value)


def _vector(text: str) -> list[bytes]:
    return [_float32(float(part)) for part in text.strip("[]").split(",")]


NUMBER = Oracle("v", int)
TEXT = Oracle("CONVERT(v USING utf8mb4)", str)
BYTES = Oracle("HEX(v)", bytes.fromhex, base64.b64decode)
SHOWN = Oracle("CAST(v AS CHAR)", str)
MOMENT = Oracle("CAST(v AS CHAR)", lambda shown: shown.replace(" ", "T"))
INSTANT = Oracle("CAST(v AS CHAR)", lambda shown: shown.replace(" ", "T") + "Z")
FLOAT = Oracle("CAST(v AS DOUBLE)", _float32, _float32)
DOUBLE = Oracle("v", repr, lambda value: repr(float(value)))
LABELS = Oracle("CAST(v AS CHAR)", lambda shown: shown.split(",") if shown else [])
JSON = Oracle("CAST(v AS CHAR)", exactly)
GEOMETRY = Oracle(
    "CONCAT(ST_SRID(v), ';', ST_AsText(v, 'axis-order=long-lat'))",
    str,
    lambda value: f"{value['srid']};{re.sub(r' (?=[(])', '', value['wkt'])}",
)
VECTOR = Oracle("VECTOR_TO_STRING(v)", _vector, lambda numbers: [_float32(number) for number in numbers])


def _integers(bits: int) -> list[str]:
    return [str(-(2 ** (bits - 1))), "-1", "0", "1", str(2 ** (bits - 1) - 1)]


def _unsigned(bits: int) -> list[str]:
    return ["0", "1", str(2 ** (bits - 1)), str(2**bits - 1)]


_FSP_TIMES = ["'838:59:58.999999'", "'-838:59:58.999999'", "'-00:00:00.000001'", "'-00:00:01.5'", "'-01:00:00.9'",
              "'00:00:00'", "'100:00:01.1'", "'-838:59:59'"]  # fmt: skip
_FSP_MOMENTS = ["'2026-11-21 10:26:57.231987'", "'0000-00-00'", "'1000-01-01'", "'9999-12-31 23:59:59'",
                "'2024-00-15 01:02:03.1'", "'2024-02-00'", "'2021-02-31'", "'0001-01-01 00:00:00.01'"]  # fmt: skip
_FSP_INSTANTS = ["'2026-11-21 10:26:57.231987'", "'1970-01-01 00:00:01'", "0", "'2038-01-19 03:14:07.499999'"]
_SIXTY_FOUR = ",".join(f"'m{n}'" for n in range(64))

CASES: dict[str, tuple[str, Oracle, list[str]]] = {
    "tinyint": ("TINYINT", NUMBER, _integers(8)),
    "smallint": ("SMALLINT", NUMBER, _integers(16)),
    "mediumint": ("MEDIUMINT", NUMBER, _integers(24)),
    "int": ("INT", NUMBER, _integers(32)),
    "bigint": ("BIGINT", NUMBER, _integers(64)),
    "tinyint unsigned": ("TINYINT UNSIGNED", NUMBER, _unsigned(8)),
    "smallint unsigned": ("SMALLINT UNSIGNED", NUMBER, _unsigned(16)),
    "mediumint unsigned": ("MEDIUMINT UNSIGNED", NUMBER, _unsigned(24)),
    "int unsigned": ("INT UNSIGNED", NUMBER, [*_unsigned(32), "3230202323"]),
    "bigint unsigned": ("BIGINT UNSIGNED", NUMBER, _unsigned(64)),
    "bool": ("BOOL", NUMBER, ["0", "1", "-1"]),
    "decimal(65,30)": (
        "DECIMAL(65,30)", SHOWN,
        [f"{'9' * 35}.{'9' * 30}", f"-{'9' * 35}.{'9' * 30}", "0", "-0.0", f"0.{'0' * 29}1", f"-0.{'0' * 29}1", "12.3"],
    ),
    "decimal(10,2)": ("DECIMAL(10,2)", SHOWN, ["12.30", "-12.30", "99999999.99", "-99999999.99", "0.01", "-0.01"]),
    "decimal(65,0)": ("DECIMAL(65,0)", SHOWN, ["9" * 65, "-" + "9" * 65, "0", "1000000000"]),
    "decimal(30,30)": ("DECIMAL(30,30)", SHOWN, ["0." + "9" * 30, "-0." + "0" * 29 + "1", "0"]),
    "decimal(9,9)": ("DECIMAL(9,9)", SHOWN, ["0.123456789", "-0.000000001"]),
    "decimal(18,9) unsigned": ("DECIMAL(18,9) UNSIGNED", SHOWN, ["123456789.987654321", "0.000000001"]),
    "decimal(9,3) zerofill": ("DECIMAL(9,3) ZEROFILL", Oracle("CAST(v + 0 AS CHAR)", str), ["7", "0", "123456.789", "1.50"]),
    "decimal(1,0)": ("DECIMAL(1,0)", SHOWN, ["9", "-9", "0"]),
    "float": (
        "FLOAT", FLOAT, ["3.14159", "0.1", "-0.1", "16777216", "3.4028234e38", "1.17549435e-38", "1e-45", "1e10", "0"],
    ),
    "float(7,3)": ("FLOAT(7,3)", FLOAT, ["1234.567", "-0.001"]),
    "float unsigned": ("FLOAT UNSIGNED", FLOAT, ["1.5", "0"]),
    "double": ("DOUBLE", DOUBLE, ["3.14159", "0.1", "1e308", "2.2250738585072014e-308", "5e-324", "-1e15", "1e16", "0"]),
    "bit(1)": ("BIT(1)", Oracle("v+0", bool), ["b'0'", "b'1'"]),
    "bit(9)": ("BIT(9)", Oracle("v+0", int), ["b'0'", "b'100000001'", "b'111111111'"]),
    "bit(64)": ("BIT(64)", Oracle("v+0", int), ["0", "18446744073709551615", "9223372036854775808", "1"]),
    "char": ("CHAR(20)", TEXT, ["''", "'a'", "'a  '", "' a'", "'héé🎉'"]),
    "char(255)": ("CHAR(255)", TEXT, ["REPEAT('é', 255)", "REPEAT('🎉', 255)", "'x'"]),
    "varchar": ("VARCHAR(50)", TEXT, ["''", "'a  '", "'tab\\tnul\\0quote\"'", "'e\\u0301'", "'base64:x'"]),
    "varchar(255) utf8mb4": ("VARCHAR(255)", TEXT, ["REPEAT('🎉', 255)", "'x'"]),
    "varchar(300) latin1": ("VARCHAR(300) CHARACTER SET latin1", TEXT, ["REPEAT('é', 300)", "'x'"]),
    "tinytext": ("TINYTEXT", TEXT, ["''", "REPEAT('x', 255)"]),
    "text": ("TEXT", TEXT, ["''", "REPEAT('é', 30000)"]),
    "mediumtext": ("MEDIUMTEXT", TEXT, ["REPEAT('x', 70000)"]),
    "longtext": ("LONGTEXT", TEXT, ["REPEAT('xé', 100000)"]),
    "binary(16)": ("BINARY(16)", BYTES, ["x'00112233445566778899aabbccddee00'", "x''", "x'00'", "REPEAT(x'ff',16)"]),
    "varbinary": ("VARBINARY(300)", BYTES, ["x'00'", "x'6100'", "x''", "REPEAT(x'ff', 300)"]),
    "tinyblob": ("TINYBLOB", BYTES, ["x'00ff'", "REPEAT(x'ff', 255)"]),
    "blob": ("BLOB", BYTES, ["x''", "REPEAT(x'00ff', 30000)"]),
    "mediumblob": ("MEDIUMBLOB", BYTES, ["REPEAT(x'00ff', 40000)"]),
    "longblob": ("LONGBLOB", BYTES, ["REPEAT(x'00ff', 100000)"]),
    "date": ("DATE", SHOWN, ["'2026-11-21'", "'0000-00-00'", "'2024-00-15'", "'2021-02-31'", "'9999-12-31'", "'1000-01-01'"]),
    **{f"datetime({fsp})": (f"DATETIME({fsp})", MOMENT, _FSP_MOMENTS) for fsp in range(7)},
    **{f"timestamp({fsp})": (f"TIMESTAMP({fsp})", INSTANT, _FSP_INSTANTS) for fsp in range(7)},
    **{f"time({fsp})": (f"TIME({fsp})", SHOWN, _FSP_TIMES) for fsp in range(7)},
    "year": ("YEAR", NUMBER, ["0", "1901", "2155", "2026"]),
    "enum": ("ENUM('a','B','ünï','')", SHOWN, ["'a'", "'B'", "'ünï'", "''", "0", "4"]),
    "enum latin2": ("ENUM('č','ž') CHARACTER SET latin2", TEXT, ["'č'", "'ž'"]),
    "enum of 300": (f"ENUM({','.join(repr(f'l{n}') for n in range(300))})", SHOWN, ["1", "256", "300", "0"]),
    "set": ("SET('a','b','ü')", LABELS, ["''", "'a'", "'ü,a'", "'a,b,ü'"]),
    "set of 64": (f"SET({_SIXTY_FOUR})", LABELS, ["'m63'", "'m0,m63'", "18446744073709551615", "''"]),
    "point": ("POINT", GEOMETRY, ["POINT(3,2)", "POINT(-1.5,1e20)", "POINT(0.1,1e-7)", "POINT(1e22,123456.789)", "POINT(-0e0,1e15)",
        "POINT(1.2345678901234568e-10,1e-15)", "POINT(12345678901234567,1.5e-9)", "POINT(1e-14,-4.591317319106684e-9)"]),
    "point srid": ("POINT SRID 4326", GEOMETRY, ["ST_GeomFromText('POINT(3 2)', 4326)", "ST_SRID(POINT(170.25, -45.5), 4326)"]),
    "geometry": (
        "GEOMETRY", GEOMETRY,
        [
            f"ST_GeomFromText('{wkt}')"
            for wkt in (
                "POINT(1 2)", "LINESTRING(0 0,1 1,2 3.5)", "POLYGON((0 0,10 0,10 10,0 10,0 0),(2 2,3 2,3 3,2 3,2 2))",
                "MULTIPOINT(0 0,20 20)", "MULTILINESTRING((10 10,20 20),(15 15,30 15))",
                "MULTIPOLYGON(((0 0,10 0,10 10,0 0)),((5 5,7 5,7 7,5 5)))",
                "GEOMETRYCOLLECTION(POINT(10 10),LINESTRING(15 15,20 20),MULTIPOINT(1 1,2 2))",
                "GEOMETRYCOLLECTION EMPTY", "GEOMETRYCOLLECTION(GEOMETRYCOLLECTION EMPTY)",
            )
        ],
    ),
    "vector": ("VECTOR(3)", VECTOR, ["TO_VECTOR('[1,2,3]')", "TO_VECTOR('[0.1,-3.14159,1e-30]')", "TO_VECTOR('[1e38]')"]),
    "json": (
        "JSON", JSON,
        [
            "'{}'", "'[]'", "'null'", "'true'", "'\"\"'", "'1.0'", "'-0.0'", "'1e300'", "'18446744073709551615'", "'0.1'",
            "'-9223372036854775808'", "'[1, 2.0, \"x\", null, false, {\"a\": [[]]}]'", "'{\"b\": 1, \"aa\": 2, \"b\": 3}'",
            "'65536'", "'-32769'", "'32767'", "'4294967295'", "'\"\\\\u0000\\\\ud83c\\\\udf89 é \\\\\\\\ \\\\\\\"\"'",
            "CAST(12.30 AS JSON)", "CAST(CAST('-99999999999999999999.0001' AS DECIMAL(30,4)) AS JSON)",
            "CAST(CAST('2026-11-21' AS DATE) AS JSON)", "CAST(CAST('838:59:59' AS TIME) AS JSON)",
            "CAST(CAST('-01:02:03.5' AS TIME(6)) AS JSON)", "CAST(CAST('2026-11-21 10:26:57.25' AS DATETIME(3)) AS JSON)",
            "CAST(TIMESTAMP'2026-11-21 10:26:57' AS JSON)", "CAST(CAST('0000-00-00' AS DATE) AS JSON)",
            "JSON_ARRAY(x'00ff61')", "JSON_ARRAY(REPEAT(x'00ff61', 100))", "JSON_ARRAY(b'101')", "CAST(CAST(2026 AS YEAR) AS JSON)",
            "JSON_OBJECT('k', CAST(1.50 AS DECIMAL(10,2)), 'd', 1e0, 'u', CAST(5 AS UNSIGNED))",
            "CAST(ST_GeomFromText('POINT(1 2)') AS JSON)",
            "CONCAT(REPEAT('[', 99), 1, REPEAT(']', 99))", "CONCAT(REPEAT('{\"a\":', 99), '1.0', REPEAT('}', 99))",
            "CONCAT('[', REPEAT('\"0123456789\",', 9000), '1.0, 70000, -70000, 3]')",
            "(SELECT CONCAT('{', GROUP_CONCAT('\"key', n, '\":', n, '.0'), '}') FROM (WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r WHERE n < 65000) SELECT n FROM r) s)",
        ],
    ),
}  # fmt: skip


def insert(reader: SourceReader, definition: str, values: list[str]) -> None:
    reader.sql(
        "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00', group_concat_max_len = 100000000",
        "SET SESSION cte_max_recursion_depth = 100000",
        f"CREATE TABLE t (id INT PRIMARY KEY, v {definition} NULL)",
        *(f"INSERT INTO t VALUES ({number}, {value})" for number, value in enumerate([*values, "NULL"])),
    )


def shown(reader: SourceReader, oracle: Oracle) -> dict[int, Any]:
    rows = reader.sql(f"SELECT id, {oracle.select} FROM t")
    return {row: None if value is None else oracle.convert(value) for row, value in rows}


def events(seen: Seen, oracle: Oracle) -> dict[int, Any]:
    found = {}
    for record in seen.records:
        raw = json.loads(record.value or b"", parse_float=Decimal)["after"]
        value = raw["v"]
        if value is not None:
            exact = oracle is JSON
            value = (
                exactly(_member(record.value or b""))
                if exact
                else oracle.normal(orjson.loads(record.value or b"")["after"]["v"])
            )
        found[raw["id"]] = value
    return found


def _member(value: bytes) -> str:
    """The JSON text of column `v`, the last of `after`."""
    return re.search(r'"after":\{"id":\d+,"v":(.*)\},"source":\{"version"', value.decode(), re.DOTALL)[1]  # type: ignore[index]
