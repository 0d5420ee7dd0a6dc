"""MySQL's character sets: collation id -> character set -> decoder. Decodes as MySQL does, or raises."""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Callable, Mapping
from functools import cache

from cdc.source import charset_key
from cdc.source.charset_tables import COLLATIONS, EUCJPMS_IBM, EUCJPMS_NEC, NEARLY, UPPER_HALF
from schemas.errors import UndecodableError

Decoder = Callable[[bytes], str]  # raises UnicodeDecodeError

BINARY = "binary"
UNDECODABLE = "base64:"
_UNDEFINED = "\ufffd"

# Codecs that agree with MySQL in every code; a test asks the server.
_EXACT = {
    "ascii": "ascii", "binary": "utf-8", "cp1250": "cp1250", "cp1251": "cp1251", "cp1257": "cp1257", "cp850": "cp850",
    "cp852": "cp852", "euckr": "cp949", "gb2312": "gb2312", "gbk": "gbk", "koi8r": "koi8-r", "latin2": "iso8859-2",
    "latin5": "iso8859-9", "latin7": "iso8859-13", "macce": "mac_latin2", "macroman": "mac_roman", "tis620": "tis-620",
    "utf16": "utf-16-be", "utf16le": "utf-16-le", "utf32": "utf-32-be", "utf8mb3": "utf-8", "utf8mb4": "utf-8",
    "utf8": "utf-8",
}  # fmt: skip


def _ids() -> dict[int, str]:
    found = {}
    for name, ranges in COLLATIONS.items():
        for part in ranges.split():
            first, _, last = part.partition("-")
            found.update(dict.fromkeys(range(int(first), int(last or first) + 1), name))
    return found


_BY_COLLATION = _ids()


def of_collation(collation: int) -> str:
    """The character set of a collation id."""
    try:
        return _BY_COLLATION[collation]
    except KeyError:
        raise UndecodableError(f"the collation {collation} is not one of MySQL's that tidemark knows") from None


@cache
def decoder(charset: str) -> Decoder:
    """The decoder of a character set. It raises UnicodeDecodeError; nothing is ever replaced or left out."""
    if (plain := charset_key.plain(charset)) != charset:
        return charset_key.strict(plain, decoder(plain))
    if charset in _EXACT:
        return _by_codec(_EXACT[charset])
    if charset in UPPER_HALF:
        return _by_table(bytes(range(128)).decode("ascii") + UPPER_HALF[charset])
    if charset in NEARLY:
        return _by_table(_patched(*NEARLY[charset]))
    if charset in _SEQUENCES:
        return _by_sequence(*_SEQUENCES[charset])
    if charset == "ucs2":
        return _ucs2
    raise UndecodableError(f"the character set {charset} is not one of MySQL's that tidemark knows")


def label(raw: bytes, charset: str) -> str:
    """An ENUM's or SET's label; `base64:…` where it cannot be decoded."""
    try:
        return decoder(charset)(raw)
    except UnicodeDecodeError:
        return UNDECODABLE + binascii.b2a_base64(raw, newline=False).decode()


def _by_codec(codec: str) -> Decoder:
    if codec == "utf-8":
        return lambda raw: str(raw, "utf-8")
    decode = codecs.getdecoder(codec)
    return lambda raw: decode(raw, "strict")[0]


def _by_table(table: str) -> Decoder:
    # charmap_decode takes U+FFFE as undefined
    table = table.replace(_UNDEFINED, "\ufffe")
    return lambda raw: codecs.charmap_decode(raw, "strict", table)[0]


def _patched(codec: str, changes: Mapping[int, str]) -> str:
    plain = (bytes([code]).decode(codec, "replace") for code in range(256))
    return "".join(changes.get(code, character) for code, character in enumerate(plain))


def _ucs2(raw: bytes) -> str:
    text = raw.decode("utf-16-be")
    if len(text) * 2 != len(raw):  # a surrogate pair, which means nothing in UCS-2
        raise UnicodeDecodeError("ucs2", raw, 0, len(raw), "surrogates")
    return text


def _by_sequence(codec: str, pattern: re.Pattern[bytes], changes: Mapping[bytes, str]) -> Decoder:
    """Sequence by sequence, with the codec for all but the changes."""

    def one(sequence: bytes) -> str:
        text = changes.get(sequence)
        if text == _UNDEFINED:
            raise UnicodeDecodeError(codec, sequence, 0, len(sequence), "undefined in MySQL")
        return text or sequence.decode(codec)

    def decode(raw: bytes) -> str:
        return raw.decode("ascii") if raw.isascii() else "".join(map(one, pattern.findall(raw)))

    return decode


def _user_defined(lead: bytes, first: int) -> dict[bytes, str]:
    # Ten rows of 94 for the user, in each of EUC's planes.
    return {
        lead + bytes((0xF5 + row, 0xA1 + cell)): chr(first + row * 94 + cell) for row in range(10) for cell in range(94)
    }


def _eucjpms() -> dict[bytes, str]:
    nec = {bytes((0xAD, 0xA1 + cell)): text for cell, text in enumerate(EUCJPMS_NEC)}
    ibm = {(0x8FF3F3 + n if n < 12 else 0x8FF4A1 + n - 12).to_bytes(3, "big"): t for n, t in enumerate(EUCJPMS_IBM)}
    signs = {
        b"\xa1\xc0": "\uff3c", b"\xa1\xc1": "\uff5e", b"\xa1\xc2": "\u2225", b"\xa1\xdd": "\uff0d",
        b"\xa1\xf1": "\uffe0", b"\xa1\xf2": "\uffe1", b"\xa2\xcc": "\uffe2",
        b"\x8f\xa2\xb7": "\uff5e", b"\x8f\xa2\xc3": "\uffe4",
    }  # fmt: skip
    return {**_EUC_USER_DEFINED, **nec, **ibm, **signs}


def _pattern(*alternatives: bytes) -> re.Pattern[bytes]:
    return re.compile(b"|".join((rb"[\x00-\x7f]+", *alternatives, b".")), re.DOTALL)


_TWO_BYTES = _pattern(rb"[\x81-\xfe].")
_SHIFTED = _pattern(rb"[\xa1-\xdf]", rb"[\x81-\x9f\xe0-\xfc].")
_EUC = _pattern(rb"\x8f[\xa1-\xfe].", rb"[\x8e\xa1-\xfe].")
_FOUR_BYTES = _pattern(rb"[\x81-\xfe][\x30-\x39][\x81-\xfe][\x30-\x39]", rb"[\x81-\xfe].")
_EUC_USER_DEFINED = {**_user_defined(b"", 0xE000), **_user_defined(b"\x8f", 0xE3AC)}
_BIG5_ETEN = dict(zip((bytes((0xF9, low)) for low in range(0xD6, 0xDD)), "碁銹裏墻恒粧嫺", strict=True))
_BIG5_UNDEFINED = dict.fromkeys(
    (b"\xa1\x5a", b"\xa1\xc3", b"\xa1\xc5", b"\xa1\xfe", b"\xa2\x40", b"\xa2\xcc", b"\xa2\xce"), _UNDEFINED
)
_SEQUENCES: dict[str, tuple[str, re.Pattern[bytes], dict[bytes, str]]] = {
    "big5": ("big5", _TWO_BYTES, {**_BIG5_ETEN, **_BIG5_UNDEFINED}),
    "cp932": ("cp932", _SHIFTED, dict.fromkeys((b"\x80", b"\xa0", b"\xfd", b"\xfe", b"\xff"), _UNDEFINED)),
    "sjis": ("shift_jis", _SHIFTED, {b"\x81\x5f": "\\"}),
    "ujis": ("euc_jp", _EUC, {**_EUC_USER_DEFINED, b"\xa1\xc0": "\\"}),
    "eucjpms": ("euc_jp", _EUC, _eucjpms()),
    # The one pair that GB 18030 swapped in 2005; MySQL did, the codec did not.
    "gb18030": ("gb18030", _FOUR_BYTES, {b"\xa8\xbc": "\u1e3f", b"\x81\x35\xf4\x37": "\ue7c7"}),
}
