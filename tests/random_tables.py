"""Random tables and rows for hypothesis: what is written, what SELECT shows of it, what the events say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from source_reader import Seen, SourceReader
from type_cases import (
    BYTES,
    DOUBLE,
    FLOAT,
    GEOMETRY,
    INSTANT,
    JSON,
    LABELS,
    MOMENT,
    NUMBER,
    SHOWN,
    TEXT,
    VECTOR,
    Oracle,
    exactly,
)  # fmt: skip

_CHARSETS = ("utf8mb4", "latin1", "utf16", "ucs2", "utf32", "utf16le", "gb18030", "sjis", "koi8r", "big5", "utf8mb3")
_TEXTS = {"latin1": 'aé"\\ß', "gb18030": "a中😀ß", "sjis": "aアz\\日", "koi8r": "aЖя", "big5": "a中文",
          "utf8mb3": "aé中", "ucs2": "aé中"}  # fmt: skip


@dataclass(frozen=True)
class RandomColumn:
    """A definition, SQL literals of values, and how SELECT is asked."""

    definition: str
    oracle: Oracle
    values: st.SearchStrategy[str]


def _integer(name: str, bits: int) -> st.SearchStrategy[RandomColumn]:
    signed = RandomColumn(name, NUMBER, st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).map(str))
    unsigned = RandomColumn(f"{name} UNSIGNED", NUMBER, st.integers(0, 2**bits - 1).map(str))
    return st.sampled_from([signed, unsigned])


@st.composite
def _decimal(draw: Callable[[Any], Any]) -> RandomColumn:
    scale = draw(st.integers(0, 30))
    precision = draw(st.integers(max(1, scale), 65))
    whole = precision - scale
    digits = st.text("0123456789", min_size=0, max_size=max(whole, 0))
    part = st.text("0123456789", min_size=scale, max_size=scale)
    text = st.tuples(st.sampled_from(["", "-"]), digits, part).map(lambda found: f"{found[0]}0{found[1]}.{found[2]}0")
    return RandomColumn(f"DECIMAL({precision},{scale})", SHOWN, text)


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0") + "'"


@st.composite
def _string(draw: Callable[[Any], Any]) -> RandomColumn:
    charset = draw(st.sampled_from(_CHARSETS))
    kind = draw(st.sampled_from(["CHAR(12)", "VARCHAR(20)", "VARCHAR(300)", "TINYTEXT", "TEXT", "MEDIUMTEXT"]))
    alphabet = _TEXTS.get(charset, 'aé"\\\0\n\x1f中😀\u2028')
    texts = st.text(alphabet, max_size=12).map(lambda text: _literal(text.rstrip(" ")))
    return RandomColumn(f"{kind} CHARACTER SET {charset}", TEXT, texts)


def _bytes() -> st.SearchStrategy[RandomColumn]:
    kinds = st.sampled_from(["BINARY(9)", "VARBINARY(9)", "VARBINARY(300)", "TINYBLOB", "BLOB", "LONGBLOB"])
    return kinds.map(lambda kind: RandomColumn(kind, BYTES, st.binary(max_size=9).map(lambda raw: f"x'{raw.hex()}'")))


@st.composite
def _temporal(draw: Callable[[Any], Any]) -> RandomColumn:
    fsp = draw(st.integers(0, 6))
    days = st.dates().map(lambda day: day.isoformat())
    clock = st.times().map(lambda time: time.strftime("%H:%M:%S.%f"))
    moments = st.tuples(days, clock).map(lambda found: f"'{found[0]} {found[1]}'")
    instants = st.integers(1, 2**31 - 2).map(lambda seconds: f"FROM_UNIXTIME({seconds}.{seconds % 999_983:06d})")
    spans = st.tuples(
        st.sampled_from(["", "-"]), st.integers(0, 837), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999_999)
    ).map(lambda t: f"'{t[0]}{t[1]:02d}:{t[2]:02d}:{t[3]:02d}.{t[4]:06d}'")
    return draw(
        st.sampled_from(
            [
                RandomColumn("DATE", SHOWN, days.map(lambda day: f"'{day}'")),
                RandomColumn(f"DATETIME({fsp})", MOMENT, moments),
                RandomColumn(f"TIMESTAMP({fsp})", INSTANT, instants),
                RandomColumn(f"TIME({fsp})", SHOWN, spans),
                RandomColumn("YEAR", NUMBER, st.sampled_from(["0", "1901", "2026", "2155"])),
            ]
        )
    )


_JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=6)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def _document(value: Any) -> str:
    return _literal(json.dumps(value, ensure_ascii=True))


_NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)
_COLUMNS: st.SearchStrategy[RandomColumn] = st.one_of(
    _integer("TINYINT", 8), _integer("SMALLINT", 16), _integer("MEDIUMINT", 24), _integer("INT", 32),
    _integer("BIGINT", 64), _decimal(), _string(), _bytes(), _temporal(),
    st.just(RandomColumn("FLOAT", FLOAT, _NUMBERS.map(repr))),
    st.just(RandomColumn("DOUBLE", DOUBLE, st.floats(allow_nan=False, allow_infinity=False).map(repr))),
    st.integers(2, 64).map(
        lambda bits: RandomColumn(f"BIT({bits})", Oracle("v+0", int), st.integers(0, 2**bits - 1).map(str))
    ),
    st.just(RandomColumn("ENUM('a','b','ü')", SHOWN, st.sampled_from(["'a'", "'ü'", "0"]))),
    st.just(RandomColumn("SET('a','b','ü')", LABELS, st.sampled_from(["''", "'a,ü'", "'b'", "7"]))),
    st.just(RandomColumn("JSON", JSON, _JSON_VALUES.map(_document))),
    st.just(RandomColumn("POINT", GEOMETRY, st.tuples(_NUMBERS, _NUMBERS).map(lambda p: f"POINT({p[0]!r},{p[1]!r})"))),
    st.just(RandomColumn("VECTOR(3)", VECTOR, st.tuples(*[st.integers(-99, 99)] * 3).map(
        lambda v: f"TO_VECTOR('[{v[0]},{v[1]}.5,{v[2]}e3]')"))),
)  # fmt: skip
_MODIFIERS = ("NULL", "NULL INVISIBLE", "NULL COMMENT 'x'")


@dataclass(frozen=True)
class Case:
    """A table of random columns, rows of literals, and rows that replace some of them."""

    columns: list[RandomColumn]
    modifiers: list[str]
    rows: list[list[str]]
    updates: list[list[str]]

    def write(self, reader: SourceReader) -> None:
        definitions = ", ".join(
            f'`c{n} "x` {column.definition} {modifier}'
            for n, (column, modifier) in enumerate(zip(self.columns, self.modifiers, strict=True))
        )
        names = ", ".join(["id", *(f'`c{n} "x`' for n in range(len(self.columns)))])
        reader.sql(
            "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'",
            f"CREATE TABLE t ({definitions}, g INT AS (id * 2) VIRTUAL, s INT AS (id + 1) STORED, id INT PRIMARY KEY)",
        )
        for number, row in enumerate(self.rows):
            reader.sql(f"INSERT INTO t ({names}) VALUES ({number}, {', '.join(row)})")
        for number, row in enumerate(self.updates):
            sets = ", ".join(f'`c{n} "x` = {value}' for n, value in enumerate(row))
            reader.sql(f"UPDATE t SET {sets}, id = id + {number % 2 * 100} WHERE id = {number}")

    def after_select(self, reader: SourceReader) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {}
        for number, column in enumerate(self.columns):
            asked = re.sub(r"\bv\b", f'`c{number} "x`', column.oracle.select)
            for row, value in reader.sql(f"SELECT id, {asked} FROM t ORDER BY id"):
                found.setdefault(row, []).append(None if value is None else column.oracle.convert(value))
        return found

    def after_events(self, seen: Seen) -> dict[int, list[Any]]:
        rows: dict[int, bytes] = {}
        for record in seen.records:
            if record.value:
                event = json.loads(record.value)
                if event["after"] is None:
                    rows.pop(event["before"]["id"], None)
                else:
                    rows[event["after"]["id"]] = record.value
        return {number: self._values(raw) for number, raw in sorted(rows.items())}

    def _values(self, raw: bytes) -> list[Any]:
        after = json.loads(raw)["after"]
        assert after["g"] == after["id"] * 2
        assert after["s"] == after["id"] + 1
        exact = exactly(raw.decode())["after"]
        return [self._value(column, after[f'c{n} "x'], exact[f'c{n} "x']) for n, column in enumerate(self.columns)]

    def _value(self, column: RandomColumn, value: Any, exact: Any) -> Any:
        if value is None and column.oracle is not JSON:
            return None
        return exact if column.oracle is JSON else column.oracle.normal(value)


@st.composite
def cases(draw: Callable[[Any], Any]) -> Case:
    columns = draw(st.lists(_COLUMNS, min_size=1, max_size=9))
    row = st.tuples(*(st.just("NULL") | column.values for column in columns)).map(list)
    modifiers = draw(st.lists(st.sampled_from(_MODIFIERS), min_size=len(columns), max_size=len(columns)))
    return Case(columns, modifiers, draw(st.lists(row, min_size=1, max_size=5)), draw(st.lists(row, max_size=3)))
