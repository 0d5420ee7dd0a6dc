"""Primary key columns in SQL: where a chunk begins, and which rows are asked for again. Pure."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Sequence
from typing import Any

from auditor.mysql_types import SqlColumn

_TEXT = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
_BINARY = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_BY_NUMBER = frozenset({"enum", "set", "bit"})
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[-+]?\d+)?")
_MOMENT = re.compile(r"[-\d:. ]+")


def cursor(column: SqlColumn) -> str:
    """The expression that tells where a row stands, exactly, whatever its bytes mean."""
    if column.kind in _TEXT or column.kind in _BINARY:
        return f"HEX({column.quoted})"
    if column.kind in _BY_NUMBER:
        return f"CAST({column.quoted} + 0 AS CHAR)"
    return (
        f"CAST(CAST({column.quoted} AS DOUBLE) AS CHAR)" if column.kind == "float" else f"CAST({column.quoted} AS CHAR)"
    )


def beyond(columns: Sequence[SqlColumn], at: Sequence[str]) -> str:
    """The condition for rows after the one that stands there. The leading column alone lets the index be used."""
    places = [(_placed(column), _place(column, text)) for column, text in zip(columns, at, strict=True)]
    parts = []
    for number, (name, place) in enumerate(places):
        same = [f"{other} = {value}" for other, value in places[:number]]
        parts.append(" AND ".join([*same, f"{name} > {place}"]))
    first, place = places[0]
    return f"{first} >= {place} AND (({') OR ('.join(parts)}))"


def _placed(column: SqlColumn) -> str:
    return f"({column.quoted} + 0)" if column.kind in _BY_NUMBER else column.quoted


def _place(column: SqlColumn, text: str) -> str:
    if column.kind in _TEXT:
        return f"_{column.charset or 'utf8mb4'} X'{text}'"
    if column.kind in _BINARY:
        return f"X'{text}'"
    return _checked(column, text)


def equals(columns: Sequence[SqlColumn], values: Sequence[Any]) -> str | None:
    """The condition for the row of a key, as a document tells it; None if no row can have that key."""
    try:
        parts = [f"{column.quoted} = {_literal(column, value)}" for column, value in zip(columns, values, strict=True)]
    except (ValueError, TypeError, AttributeError, struct.error, OverflowError):  # of another type than the column's
        return None
    return " AND ".join(parts)


def _literal(column: SqlColumn, value: Any) -> str:
    if column.kind in _BINARY:
        return f"X'{base64.b64decode(value, validate=True).hex()}'"
    if column.kind == "set":
        value = ",".join(value)
    if column.kind in _TEXT or column.kind in ("enum", "set"):
        return f"_utf8mb4 X'{value.encode().hex()}'"
    if column.kind in ("datetime", "timestamp"):
        value = value.replace("T", " ").removesuffix("Z")
    if column.kind == "float":  # MySQL compares as doubles
        [value] = struct.unpack("<f", struct.pack("<f", value))
    return _checked(column, str(int(value)) if isinstance(value, bool) else str(value))


def _checked(column: SqlColumn, text: str) -> str:
    if column.kind in ("date", "datetime", "timestamp", "time"):
        if not _MOMENT.fullmatch(text):
            raise ValueError(text)
        return f"'{text}'"
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return text
