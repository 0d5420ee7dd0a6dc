"""MySQL's geometry (SRID and WKB) to WKT. Bytes in, text out.

Axes stand as they are stored: x before y, that is longitude before latitude in a geographic SRS. It is what
`ST_AsText(g, 'axis-order=long-lat')` shows, save for the space between a type and its parenthesis.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from schemas.errors import UndecodableError

_NAMES = (
    "", "POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION",
)  # fmt: skip
_COLLECTION = 7
_PLAIN_DIGITS, _PLAIN_WIDTH = 15, 25  # beyond these MySQL writes an exponent


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
    """The shortest digits that read back, laid out as `my_gcvt` in MySQL's `strings/dtoa.cc` does."""
    sign, found, exponent = Decimal(repr(value)).as_tuple()
    minus, digits = "-" if sign else "", "".join(map(str, found)).strip("0")
    if not digits:
        return f"{minus}0"
    point = len("".join(map(str, found)).lstrip("0")) + int(exponent)
    scientific = f"{minus}{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{point - 1}"
    if point <= 0:
        plain = f"{minus}0.{'0' * -point}{digits}"
        return plain if point > -_PLAIN_DIGITS and len(plain) <= _PLAIN_WIDTH else scientific
    if point > _PLAIN_DIGITS and len(digits) <= point:
        return scientific
    whole, rest = digits[:point].ljust(point, "0"), digits[point:]
    return f"{minus}{whole}{'.' if rest else ''}{rest}"
