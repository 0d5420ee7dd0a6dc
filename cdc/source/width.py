"""How many bytes a value takes in a row image, for those that nobody reads."""

from __future__ import annotations

from collections.abc import Callable

from cdc.source import numeric, temporal
from cdc.source.tablemap import Code, WireColumn

_BYTES = {
    Code.TINY: 1, Code.SHORT: 2, Code.INT24: 3, Code.LONG: 4, Code.LONGLONG: 8, Code.FLOAT: 4, Code.DOUBLE: 8,
    Code.DATE: 3, Code.NEWDATE: 3, Code.YEAR: 1, Code.TIMESTAMP: 4, Code.DATETIME: 8, Code.TIME: 3,
}  # fmt: skip
_FRACTIONAL = {Code.DATETIME2: 5, Code.TIMESTAMP2: 4, Code.TIME2: 3}


def _fixed(wire: WireColumn) -> int | None:
    """None for values that have their length before them."""
    code, column = wire.code, wire.column
    if code in _FRACTIONAL:
        return _FRACTIONAL[code] + temporal.fraction_bytes(column.fsp)
    if code in (Code.ENUM, Code.SET):
        return wire.size
    if code is Code.BIT:
        return (column.length + 7) // 8
    if code is Code.NEWDECIMAL:
        return numeric.decimal_bytes(column.precision, column.scale)
    return _BYTES.get(code)


def passing(wire: WireColumn, instead: str) -> Callable[[bytes, int], tuple[str, int]]:
    """Passes a value, and gives a text instead: `(buffer, offset) -> (text, offset after the value)`."""
    width, prefix = _fixed(wire), wire.size
    if width is not None:
        return lambda _body, at: (instead, at + width)

    def pass_prefixed(body: bytes, at: int) -> tuple[str, int]:
        start = at + prefix
        return instead, start + int.from_bytes(body[at:start], "little")

    return pass_prefixed
