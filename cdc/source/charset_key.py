"""Keys in character sets that have several codes for one character: two rows must not become one key.

In a key, only the code that MySQL itself writes for a character is text; others are no text, and stay bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import product

_MARK = " in a key"  # such a name gets through the engines as the name of a character set
_NEC_SELECTED = (b"\xed", b"\xee")  # all of them are among cp932's other codes as well
_AMBIGUOUS = ("armscii8", "cp932", "eucjpms", "sjis", "ujis")  # a test looks at all of them


def in_key(charset: str) -> str:
    """What to decode a key column of a character set with."""
    return charset + _MARK if charset in _AMBIGUOUS else charset


def plain(charset: str) -> str:
    """The character set itself."""
    return charset.removesuffix(_MARK)


def strict(charset: str, decode: Callable[[bytes], str]) -> Callable[[bytes], str]:
    """A decoder that raises UnicodeDecodeError for what MySQL would not write."""

    def decode_strictly(raw: bytes) -> str:
        text = decode(raw)
        codes = _codes(charset, decode)
        if b"".join([codes.get(character, b"") for character in text]) != raw:
            raise UnicodeDecodeError(charset, raw, 0, len(raw), "another code of the same text")
        return text

    return decode_strictly


@cache
def _codes(charset: str, decode: Callable[[bytes], str]) -> dict[str, bytes]:
    """The code that MySQL writes for each character."""
    found: dict[str, bytes] = {}
    for raw in sorted(_sequences(charset), key=_rank(charset), reverse=True):
        try:
            text = decode(raw)
        except UnicodeDecodeError:
            continue
        if len(text) == 1:
            found[text] = raw
    return found


def _sequences(charset: str) -> Iterator[bytes]:
    high, low = range(0x80, 0x100), range(0x40, 0x100)
    yield from (bytes((byte,)) for byte in range(256))
    if charset != "armscii8":
        yield from map(bytes, product(high, low))
    if charset in ("eucjpms", "ujis"):
        yield from map(bytes, product((0x8F,), high, high))


def _rank(charset: str) -> Callable[[bytes], tuple[bool, int, bytes]]:
    """Smallest first: the shorter and lower code, but for what MySQL's own tables say."""
    if charset == "sjis":
        return lambda raw: (raw == b"\\", len(raw), raw)
    return lambda raw: (charset == "cp932" and raw.startswith(_NEC_SELECTED), len(raw), raw)
