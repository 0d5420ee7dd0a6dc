"""How MySQL is asked for a column, and what its answer looks like in a document. Pure.

MySQL renders every value itself; nothing here is shared with the decoders of the binlog.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_TEXT = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"})
_BINARY = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_SPATIAL = frozenset(
    {
        "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
        "geometrycollection", "geomcollection",
    }
)  # fmt: skip
_UNICODE = frozenset({"utf8mb4", "utf8mb3", "utf8", "ascii", ""})
_LOOSE = re.compile(r" (?=\()|(?<=,) ")


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlColumn:
    """One column as `information_schema` tells it. `kind`: data_type; `full`: column_type; `charset`: of text."""

    name: str
    kind: str
    full: str
    charset: str = ""

    @property
    def quoted(self) -> str:
        return "`" + self.name.replace("`", "``") + "`"

    def select(self, *, mariadb: bool = False) -> str:
        """The expression that renders it."""
        order = "" if mariadb or self.kind not in _SPATIAL else ", 'axis-order=long-lat'"
        if self.kind == "decimal" and "zerofill" in self.full:
            return f"CAST({self.quoted} + 0 AS CHAR)"  # the sum has the scale, and no padding
        return _SELECT.get(self.kind, "{0}").format(self.quoted, order)

    def raw(self) -> str | None:
        """Text whose bytes may mean nothing in its character set: its bytes, which the event then holds; else None."""
        return _BASE64.format(self.quoted) if self.kind in _TEXT and self.charset not in _UNICODE else None

    def value(self, shown: Any) -> Any:
        """What MySQL showed, as a document should have it; None for NULL."""
        return None if shown is None else _VALUES.get(self.kind, _as_is)(self, shown)

    def same(self, expected: Any, found: Any) -> bool:
        """True if a document's value is the one expected; JSON's 1, 1.0 and true are told apart where MySQL does."""
        if expected is None or found is None:
            return expected is None and found is None
        if isinstance(found, bool) is not isinstance(expected, bool):
            return False
        return _SAME.get(self.kind, _equal)(expected, found)


_BASE64 = "REPLACE(TO_BASE64({0}), '\\n', '')"
_SELECT: Mapping[str, str] = {
    **dict.fromkeys(_BINARY, _BASE64),
    **dict.fromkeys(_TEXT, "CONVERT({0} USING utf8mb4)"),
    **dict.fromkeys(_SPATIAL, "CONCAT(ST_SRID({0}), ' ', ST_AsText({0}{1}))"),
    **dict.fromkeys(("decimal", "date", "datetime", "timestamp", "time", "json"), "CAST({0} AS CHAR)"),
    "vector": "VECTOR_TO_STRING({0})",
    "bit": "CAST({0} AS UNSIGNED)",
    "float": "CAST({0} AS DOUBLE)",
    "year": "{0} + 0",
}


def _as_is(_column: SqlColumn, shown: Any) -> Any:
    return shown


def _bit(column: SqlColumn, shown: Any) -> Any:
    return bool(shown) if column.full == "bit(1)" else int(shown)


def _geometry(_column: SqlColumn, shown: str) -> dict[str, Any]:
    srid, _, wkt = shown.partition(" ")
    return {"srid": int(srid), "wkt": wkt}


def shortest32(value: float) -> float:
    """The number with the fewest digits that is the same float32."""
    packed = struct.pack("<f", value)
    texts = (f"{value:.{digits}g}" for digits in range(1, 10))
    return next((float(text) for text in texts if _packed(float(text)) == packed), value)


_VALUES: Mapping[str, Callable[[SqlColumn, Any], Any]] = {
    "bit": _bit,
    "float": lambda _, shown: shortest32(shown),
    "double": lambda _, shown: float(shown),
    "datetime": lambda _, shown: shown.replace(" ", "T"),
    "timestamp": lambda _, shown: shown.replace(" ", "T") + "Z",
    "set": lambda _, shown: shown.split(",") if shown else [],
    "json": lambda _, shown: json.loads(shown),
    "vector": lambda _, shown: [shortest32(float(part)) for part in shown.strip("[]").split(",")],
    **dict.fromkeys(_SPATIAL, _geometry),
}


def _equal(expected: Any, found: Any) -> bool:
    return bool(expected == found)


def _packed(value: Any) -> bytes | None:
    try:
        return struct.pack("<f", value)
    except (struct.error, OverflowError):
        return None


def _float32(expected: Any, found: Any) -> bool:
    return _packed(expected) == _packed(found) is not None


def _vector(expected: list[Any], found: Any) -> bool:
    if not isinstance(found, list) or len(found) != len(expected):
        return False
    return all(_float32(one, other) for one, other in zip(expected, found, strict=True))


def _wkt(expected: Mapping[str, Any], found: Any) -> bool:
    if not isinstance(found, Mapping) or not isinstance(found.get("wkt"), str):
        return False
    loose = [(value["srid"], _LOOSE.sub("", value["wkt"])) for value in (expected, found)]
    return found.keys() == expected.keys() and loose[0] == loose[1]


def _json(expected: Any, found: Any) -> bool:
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and expected.keys() == found.keys()
            and all(_json(value, found[key]) for key, value in expected.items())
        )
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(expected) == len(found)
            and all(_json(one, other) for one, other in zip(expected, found, strict=True))
        )
    if type(expected) is type(found):
        return bool(expected == found)
    # A whole number over 64 bits, which MySQL keeps as a DECIMAL, is a float to every reader of JSON.
    return type(expected) is int and isinstance(found, float) and abs(expected) >> 63 > 0 and float(expected) == found


_SAME: Mapping[str, Callable[[Any, Any], bool]] = {
    "float": _float32,
    "vector": _vector,
    "json": _json,
    **dict.fromkeys(_SPATIAL, _wkt),
}
