"""Character sets as the tables that the native engine looks codes up in, made from the decoders of `charset`."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import NamedTuple

from cdc.source import charset
from cdc.source.charset import Decoder
from cdc.source.charset_key import plain

_UNDEFINED = 0xFFFFFFFF
_THREE_BYTES = frozenset(("ujis", "eucjpms"))  # 0x8f and two more
_BMP_QUADS = 39_420  # GB 18030's four bytes up to 0x8431a439, in their order; from 0x90308130 on it is arithmetic


class Tables(NamedTuple):
    """Code points, little-endian in four bytes: of 256 single bytes, and of all pairs, triples, quads; or nothing."""

    singles: bytes
    doubles: bytes
    triples: bytes
    quads: bytes
    ascii: bool


def tables(name: str) -> Tables:
    """The tables of a character set. Raises `UndecodableError` for one that is not MySQL's."""
    decode = charset.decoder(name)
    singles = [_code(decode, bytes((byte,))) for byte in range(256)]
    leads = [byte for byte in range(256) if singles[byte] == _UNDEFINED]
    doubles: Iterable[int] = ()
    if any(_code(decode, bytes((lead, second))) != _UNDEFINED for lead in leads for second in (0x41, 0xA1, 0xA9)):
        doubles = _two_bytes(decode, frozenset(leads))
    return Tables(
        _packed(singles),
        _packed(doubles),
        _packed(_two_bytes(decode, frozenset(range(0xA1, 0xFF)), b"\x8f") if plain(name) in _THREE_BYTES else ()),
        _packed(_code(decode, _quad(place)) for place in range(_BMP_QUADS if name == "gb18030" else 0)),
        singles[:128] == list(range(128)),
    )


def _two_bytes(decode: Decoder, leads: frozenset[int], before: bytes = b"") -> Iterable[int]:
    for lead in range(256):
        for second in range(256):
            yield _code(decode, before + bytes((lead, second))) if lead in leads else _UNDEFINED


def _quad(place: int) -> bytes:
    rest, fourth = divmod(place, 10)
    rest, third = divmod(rest, 126)
    first, second = divmod(rest, 10)
    return bytes((0x81 + first, 0x30 + second, 0x81 + third, 0x30 + fourth))


def _code(decode: Decoder, raw: bytes) -> int:
    try:
        text = decode(raw)
    except UnicodeDecodeError:
        return _UNDEFINED
    return ord(text) if len(text) == 1 else _UNDEFINED


def _packed(codes: Iterable[int]) -> bytes:
    found = array("I", codes)
    return found.tobytes()
