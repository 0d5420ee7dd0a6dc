"""The one table from Kafka Connect's and Debezium's types to columns, and to the JSON that tidemark's events have.

Schema name                                     JSON in the record            here
…connect.data.Decimal                           base64 of the unscaled bytes  DECIMAL, "12.30"
io.debezium.time.Date, …connect.data.Date       days since 1970               DATE, "2026-11-21"
…time.Timestamp, MicroTimestamp, NanoTimestamp  ms, µs, ns since 1970         DATETIME, "2026-11-21T10:26:57.231"
…time.ZonedTimestamp                            "2026-11-21T10:26:57Z"        TIMESTAMP, as it is
…time.Time, MicroTime, NanoTime                 ms, µs, ns                    TIME, "-838:59:58"
io.debezium.time.Year                           number                        YEAR
io.debezium.data.Bits                           base64, little-endian         BIT, number
io.debezium.data.Enum, EnumSet                  label, "a,b"                  ENUM, SET as an array
io.debezium.data.Json                           JSON as text                  JSON, the value itself
structs (geometry), arrays (vectors)            as they are                   stored, not indexed
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import orjson

from schemas.table import Column, ColumnType

Convert = Callable[[Any], Any]

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  a DATETIME has no zone
_CONNECT = "org.apache.kafka.connect.data."
_DEBEZIUM = "io.debezium."

_PLAIN = {
    "int8": ColumnType.SMALLINT,
    "int16": ColumnType.SMALLINT,
    "int32": ColumnType.INT,
    "int64": ColumnType.BIGINT,
    "float": ColumnType.FLOAT,
    "float32": ColumnType.FLOAT,
    "double": ColumnType.DOUBLE,
    "float64": ColumnType.DOUBLE,
    "boolean": ColumnType.BIT,
    "string": ColumnType.VARCHAR,
    "bytes": ColumnType.BLOB,
}


def _date(days: int) -> str:
    return date.fromordinal(_EPOCH_DAY + days).isoformat()


def _moment(us: int) -> str:
    shown = (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds")
    return shown.removesuffix("000").removesuffix(".000")


def _time(us: int) -> str:
    seconds, rest = divmod(abs(us), 1_000_000)
    shown = f"{'-' if us < 0 else ''}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{shown}.{rest:06d}" if rest else shown


def _bits(text: str) -> int:
    return int.from_bytes(base64.b64decode(text), "little")


def _labels(text: str) -> list[str]:
    return text.split(",") if text else []


def _json(text: Any) -> Any:
    return orjson.loads(text) if isinstance(text, str) else text


def _decimal(field: Mapping[str, Any]) -> Convert:
    scale = int(field["parameters"]["scale"])

    def convert(value: Any) -> Any:
        if not isinstance(value, str):
            return value  # decimal.format=NUMERIC
        unscaled = int.from_bytes(base64.b64decode(value), "big", signed=True)
        digits = str(abs(unscaled)).rjust(scale + 1, "0")
        whole = f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits
        return f"-{whole}" if unscaled < 0 else whole

    return convert


def _scaled(convert: Callable[[int], str], unit: int, *, per: int = 1) -> Convert:
    return lambda value: convert(value * unit // per)


_CONVERTERS: Mapping[str, Convert] = {
    f"{_CONNECT}Date": _date,
    f"{_CONNECT}Time": _scaled(_time, 1000),
    f"{_CONNECT}Timestamp": _scaled(_moment, 1000),
    f"{_DEBEZIUM}time.Date": _date,
    f"{_DEBEZIUM}time.Time": _scaled(_time, 1000),
    f"{_DEBEZIUM}time.MicroTime": _time,
    f"{_DEBEZIUM}time.NanoTime": _scaled(_time, 1, per=1000),
    f"{_DEBEZIUM}time.Timestamp": _scaled(_moment, 1000),
    f"{_DEBEZIUM}time.MicroTimestamp": _moment,
    f"{_DEBEZIUM}time.NanoTimestamp": _scaled(_moment, 1, per=1000),
    f"{_DEBEZIUM}data.Bits": _bits,
    f"{_DEBEZIUM}data.EnumSet": _labels,
    f"{_DEBEZIUM}data.Json": _json,
}

_COLUMNS: Mapping[str, tuple[ColumnType, int]] = {
    f"{_CONNECT}Decimal": (ColumnType.DECIMAL, 0),
    f"{_CONNECT}Date": (ColumnType.DATE, 0),
    f"{_CONNECT}Time": (ColumnType.TIME, 0),
    f"{_CONNECT}Timestamp": (ColumnType.DATETIME, 0),
    f"{_DEBEZIUM}time.Date": (ColumnType.DATE, 0),
    f"{_DEBEZIUM}time.Time": (ColumnType.TIME, 0),
    f"{_DEBEZIUM}time.MicroTime": (ColumnType.TIME, 6),
    f"{_DEBEZIUM}time.NanoTime": (ColumnType.TIME, 6),
    f"{_DEBEZIUM}time.Timestamp": (ColumnType.DATETIME, 0),
    f"{_DEBEZIUM}time.MicroTimestamp": (ColumnType.DATETIME, 6),
    f"{_DEBEZIUM}time.NanoTimestamp": (ColumnType.DATETIME, 6),
    f"{_DEBEZIUM}time.ZonedTimestamp": (ColumnType.TIMESTAMP, 6),
    f"{_DEBEZIUM}time.Year": (ColumnType.YEAR, 0),
    f"{_DEBEZIUM}data.Enum": (ColumnType.ENUM, 0),
    f"{_DEBEZIUM}data.EnumSet": (ColumnType.SET, 0),
    f"{_DEBEZIUM}data.Json": (ColumnType.JSON, 0),
}


def converter_of(field: Mapping[str, Any]) -> Convert | None:
    """What brings a field's values into tidemark's form; None if they are in it. Null is not asked about."""
    name = field.get("name") or ""
    return _decimal(field) if name == f"{_CONNECT}Decimal" else _CONVERTERS.get(name)


def column_of(field: Mapping[str, Any]) -> Column:
    """A field of a row's schema as a column, as far as the schema tells; what is not known is stored, not indexed."""
    name = field.get("name") or ""
    if name == f"{_DEBEZIUM}data.Bits":
        length = int(field.get("parameters", {}).get("length", 64))
        return Column(name=field["field"], type=ColumnType.BIT, length=length)
    kind, fsp = _COLUMNS.get(name, (_PLAIN.get(field["type"], ColumnType.JSON), 0))
    return Column(name=field["field"], type=kind, fsp=fsp, nullable=bool(field.get("optional")))
