"""The one table from a MySQL type to its index field; what its JSON looks like stands beside it.

Column types                JSON in the event                      field
TINYINT … BIGINT            number                                 long
BIGINT UNSIGNED, BIT(n>1)   number up to 2^64-1                    unsigned_long, or keyword where the cluster lacks it
DECIMAL                     string with all digits, "12.30"        double (`_source` keeps the digits)
FLOAT, DOUBLE               shortest number that reads back        float, double
BIT(1)                      boolean                                boolean
CHAR                        string                                 keyword
VARCHAR, TEXT               string                                 text with .keyword
BINARY, VARBINARY, BLOB     base64 string                          binary
DATE                        "2026-11-21"                           date
DATETIME(f)                 "2026-11-21T10:26:57.231", no zone     date, from 4 digits on date_nanos
TIMESTAMP(f)                "2026-11-21T10:26:57.231Z", UTC        likewise
TIME(f)                     "-838:59:58.999999"                    keyword
YEAR                        number                                 integer
ENUM, SET                   label, array of labels                 keyword
JSON, VECTOR                the value itself, with all digits      object, not indexed (`_source` keeps the digits)
GEOMETRY                    {"srid":4326,"wkt":"POINT (3 2)"}      wkt as keyword
any, masked                 "***"                                  keyword
any, hashed                 64 hexadecimal digits                  keyword
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.table import Column, ColumnType

IGNORE_ABOVE = 8191  # counted in UTF-16 units, of which none takes more than 3 bytes; a term is at most 32,766 bytes

_KEYWORD: Mapping[str, Any] = {"type": "keyword", "ignore_above": IGNORE_ABOVE}
_TEXT: Mapping[str, Any] = {"type": "text", "fields": {"keyword": _KEYWORD}}
_STORED: Mapping[str, Any] = {"type": "object", "enabled": False}

_FIELDS: Mapping[ColumnType, Mapping[str, Any]] = {
    ColumnType.TINYINT: {"type": "long"},
    ColumnType.SMALLINT: {"type": "long"},
    ColumnType.MEDIUMINT: {"type": "long"},
    ColumnType.INT: {"type": "long"},
    ColumnType.BIGINT: {"type": "long"},
    ColumnType.DECIMAL: {"type": "double"},
    ColumnType.FLOAT: {"type": "float"},
    ColumnType.DOUBLE: {"type": "double"},
    ColumnType.BIT: {"type": "boolean"},
    ColumnType.CHAR: _KEYWORD,
    ColumnType.VARCHAR: _TEXT,
    ColumnType.TEXT: _TEXT,
    ColumnType.BINARY: {"type": "binary"},
    ColumnType.VARBINARY: {"type": "binary"},
    ColumnType.BLOB: {"type": "binary"},
    ColumnType.DATE: {"type": "date", "ignore_malformed": True},
    ColumnType.DATETIME: {"type": "date", "ignore_malformed": True},
    ColumnType.TIMESTAMP: {"type": "date", "ignore_malformed": True},
    ColumnType.TIME: _KEYWORD,
    ColumnType.YEAR: {"type": "integer"},
    ColumnType.ENUM: _KEYWORD,
    ColumnType.SET: _KEYWORD,
    ColumnType.JSON: _STORED,
    ColumnType.GEOMETRY: {"properties": {"srid": {"type": "long"}, "wkt": _KEYWORD}},
    ColumnType.VECTOR: _STORED,
}

#: What the bare name of a type stands for, where somebody chose it for a column.
_NAMED: Mapping[str, Mapping[str, Any]] = {
    "keyword": _KEYWORD,
    "text": _TEXT,
    "date": {"type": "date", "ignore_malformed": True},
    "date_nanos": {"type": "date_nanos", "ignore_malformed": True},
    "flattened": {"type": "flattened", "depth_limit": 100, "ignore_above": 4096},
}

_MILLISECOND_DIGITS = 3


def bounded(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    """A mapping that somebody chose; a keyword that does not say otherwise leaves out what no term can hold."""
    return {"ignore_above": IGNORE_ABOVE, **mapping} if mapping.get("type") == "keyword" else mapping


def type_named(name: str) -> Mapping[str, Any]:
    """The mapping that the bare name of a type stands for: one that takes whatever MySQL can hold, if there is one."""
    return _NAMED.get(name, {"type": name})


def field_mapping(column: Column, *, unsigned_long: bool = True) -> Mapping[str, Any]:
    """Elasticsearch's mapping of one column. `unsigned_long`: whether the cluster has that type."""
    if column.protection:
        return _KEYWORD
    wide = column.type is ColumnType.BIGINT and column.unsigned
    if wide or (column.type is ColumnType.BIT and column.length > 1):
        return {"type": "unsigned_long"} if unsigned_long else _KEYWORD
    if column.type in (ColumnType.DATETIME, ColumnType.TIMESTAMP) and column.fsp > _MILLISECOND_DIGITS:
        return {"type": "date_nanos", "ignore_malformed": True}
    return _FIELDS[column.type]
