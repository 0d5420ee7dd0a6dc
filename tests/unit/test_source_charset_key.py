"""In keys every text has one spelling in bytes, whatever the character set."""

from __future__ import annotations

from array import array
from collections import Counter

import pytest

from cdc.source import charset, charset_key, native_charset
from cdc.source.charset_tables import COLLATIONS

_UNICODE = {"ascii", "binary", "ucs2", "utf8", "utf8mb3", "utf8mb4", "utf16", "utf16le", "utf32"}


def _most_codes_of_a_character(name: str) -> int:
    found: Counter[int] = Counter()
    tables = native_charset.tables(name)
    for packed in (tables.singles, tables.doubles, tables.triples, tables.quads):
        found.update(array("I", packed))
    del found[0xFFFFFFFF]
    return max(found.values())


@pytest.mark.parametrize("name", sorted(COLLATIONS.keys() - _UNICODE))
def test_no_character_of_a_key_has_two_codes(name: str) -> None:
    in_key = charset_key.in_key(name)
    assert _most_codes_of_a_character(in_key) == 1
    assert (in_key == name) == (_most_codes_of_a_character(name) == 1)


def test_what_mysql_writes_stays_text() -> None:
    decode = charset.decoder(charset_key.in_key("cp932"))
    for text in ("order-1", "注文≒№1", "ｱｲｳ"):
        assert decode(text.encode("cp932")) == text
    assert decode(b"\xfb\xfc\xfa\xb1") == "髙﨑"  # Python's codec would write ee e0, ed 95
    for other in (b"\x87\x90", b"a\xed\x40", b"\xfa\x4a", b"\x81"):
        with pytest.raises(UnicodeDecodeError):
            decode(other)
