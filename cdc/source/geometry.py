"""MySQL's geometry (SRID and WKB) to WKT. Bytes in, text out.

Axes stand as they are stored: x before y, that is longitude before latitude in a geographic SRS. It is what
`ST_AsText(g, 'axis-order=long-lat')` shows, save for the space between a type and its parenthesis.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from schemas.errors import UndecodableError

_NAMES = (
    "", "POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION",
)  # fmt: skip
_COLLECTION = 7
_PLAIN_DIGITS = 20  # from 10^21 on MySQL writes an exponent


def decode(raw: bytes) -> dict[str, Any]:
    """`{"srid":4326,"wkt":"POINT (3 2)"}`."""
    try:
        reader = _Wkb(raw, 4)
        return {"srid": int.from_bytes(raw[:4], "little"), "wkt": reader.geometry()}
    except (IndexError, struct.error) as error:
        raise UndecodableError(f"a geometry cannot be decoded: {error!r}") from error


class _Wkb:
    def __init__(self, raw: bytes, at: int) -> None:
        self._raw = raw
        self._at = at
        self._order = "<"
        self._bodies: dict[int, Callable[[], str]] = {
            1: lambda: f"({self._point()})",
            2: self._points,
            3: lambda: self._list(self._points),
            4: lambda: self._list(self._member),
            5: lambda: self._list(self._member),
            6: lambda: self._list(self._member),
            7: lambda: self._list(self.geometry),
        }

    def geometry(self) -> str:
        kind = self._head()
        body = self._bodies[kind]()
        return f"{_NAMES[kind]} {body}"

    def _head(self) -> int:
        self._order = "<" if self._raw[self._at] else ">"
        self._at += 1
        return self._number()

    def _member(self) -> str:
        # A point, line or polygon of a MULTI… carries its own head, which the text leaves out.
        return self._bodies[self._head()]()

    def _number(self) -> int:
        (value,) = struct.unpack_from(f"{self._order}I", self._raw, self._at)
        self._at += 4
        return int(value)

    def _point(self) -> str:
        x, y = struct.unpack_from(f"{self._order}dd", self._raw, self._at)
        self._at += 16
        return f"{_coordinate(x)} {_coordinate(y)}"

    def _points(self) -> str:
        return self._list(self._point)

    def _list(self, read: Callable[[], str]) -> str:
        count = self._number()
        return f"({','.join(read() for _ in range(count))})" if count else "EMPTY"


def _coordinate(value: float) -> str:
    return repr(value).removesuffix(".0")
