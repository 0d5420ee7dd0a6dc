"""MySQL's binary JSON to JSON text: the value that `CAST(doc AS CHAR)` shows. Bytes in, bytes out.

Layout: `sql-common/json_binary.h`. Every digit is kept: DOUBLE 1.0 stays `1.0`, a DECIMAL becomes a number token.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from typing import NamedTuple

import orjson

from cdc.source import numeric, temporal
from schemas.errors import UndecodableError

_LITERALS = {0: b"null", 1: b"true", 2: b"false"}
_LITERAL, _INT16, _UINT16, _INT32, _UINT32, _INT64, _UINT64, _DOUBLE, _STRING, _OPAQUE = (*range(4, 13), 15)
_NUMBERS = {
    _INT16: struct.Struct("<h"),
    _UINT16: struct.Struct("<H"),
    _INT32: struct.Struct("<i"),
    _UINT32: struct.Struct("<I"),
    _INT64: struct.Struct("<q"),
    _UINT64: struct.Struct("<Q"),
    _DOUBLE: struct.Struct("<d"),
}
_TIMESTAMP, _DATE, _TIME, _DATETIME, _NEWDECIMAL = 7, 10, 11, 12, 246
_PACKED_TIMES: dict[int, Callable[[int], str]] = {
    _TIMESTAMP: temporal.json_datetime_text,
    _DATE: temporal.json_date_text,
    _TIME: temporal.json_time_text,
    _DATETIME: temporal.json_datetime_text,
}
_BASE64_LINE = 76  # MySQL's base64_encode breaks lines, and the break is in the value


class _Width(NamedTuple):
    """Small and large containers differ in the size of offsets and in what fits into an entry."""

    bytes: int
    inline: frozenset[int]


_SMALL = _Width(2, frozenset((_LITERAL, _INT16, _UINT16)))
_LARGE = _Width(4, frozenset((_LITERAL, _INT16, _UINT16, _INT32, _UINT32)))


def to_json(raw: bytes) -> bytes:
    """A stored document as compact JSON text. Nothing at all is what IGNORE makes of a refused NULL: JSON null."""
    if not raw:
        return b"null"
    try:
        return _value(raw[0], raw, 1)
    except (IndexError, KeyError, ValueError, struct.error) as error:
        raise UndecodableError(f"a JSON document cannot be decoded: {error!r}") from error


def _value(kind: int, raw: bytes, at: int) -> bytes:
    if kind in (0, 1):
        return _object(raw, at, _LARGE if kind else _SMALL)
    if kind in (2, 3):
        return _array(raw, at, _LARGE if kind == 3 else _SMALL)
    if kind == _STRING:
        length, at = _length(raw, at)
        return orjson.dumps(str(raw[at : at + length], "utf-8"))
    if kind == _LITERAL:
        return _LITERALS[raw[at]]
    if kind == _OPAQUE:
        length, start = _length(raw, at + 1)
        return _opaque(raw[at], raw[start : start + length])
    return orjson.dumps(_NUMBERS[kind].unpack_from(raw, at)[0])


def _object(raw: bytes, base: int, width: _Width) -> bytes:
    count = int.from_bytes(raw[base : base + width.bytes], "little")
    keys_at = base + 2 * width.bytes
    values_at = keys_at + count * (width.bytes + 2)
    members = []
    for number in range(count):
        entry = keys_at + number * (width.bytes + 2)
        start = base + int.from_bytes(raw[entry : entry + width.bytes], "little")
        length = int.from_bytes(raw[entry + width.bytes : entry + width.bytes + 2], "little")
        key = orjson.dumps(str(raw[start : start + length], "utf-8"))
        members.append(key + b":" + _entry(raw, base, values_at, number, width))
    return b"{" + b",".join(members) + b"}"


def _array(raw: bytes, base: int, width: _Width) -> bytes:
    count = int.from_bytes(raw[base : base + width.bytes], "little")
    values_at = base + 2 * width.bytes
    return b"[" + b",".join(_entry(raw, base, values_at, number, width) for number in range(count)) + b"]"


def _entry(raw: bytes, base: int, values_at: int, number: int, width: _Width) -> bytes:
    at = values_at + number * (width.bytes + 1)
    kind = raw[at]
    if kind in width.inline:
        return _value(kind, raw, at + 1)
    return _value(kind, raw, base + int.from_bytes(raw[at + 1 : at + 1 + width.bytes], "little"))


def _length(raw: bytes, at: int) -> tuple[int, int]:
    # Seven bits a byte, lowest first; the top bit says that more follow.
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def _opaque(field_type: int, data: bytes) -> bytes:
    if field_type == _NEWDECIMAL:
        return numeric.decimal_text(data[2:], data[0], data[1]).encode()
    if field_type in _PACKED_TIMES:
        return orjson.dumps(_PACKED_TIMES[field_type](int.from_bytes(data[:8], "little", signed=True)))
    text = base64.b64encode(data).decode()
    lines = "\n".join(text[at : at + _BASE64_LINE] for at in range(0, len(text), _BASE64_LINE))
    return orjson.dumps(f"base64:type{field_type}:{lines}")
