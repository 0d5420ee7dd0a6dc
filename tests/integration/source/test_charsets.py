"""Every character set that the server offers, every code of it that can be asked for. The oracle is CONVERT."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from cdc.source import charset
from source_reader import SourceReader

pytestmark = pytest.mark.stack

_WIDE = {"ucs2", "utf16", "utf16le", "utf32", "utf8mb3", "utf8mb4"}
_UNICODE_SAMPLE = [*range(1, 0xD800, 7), *range(0xE000, 0x10000, 7), *range(0x10000, 0x110000, 4999)]


def _charsets(reader: SourceReader) -> list[str]:
    names = reader.sql("SELECT character_set_name FROM information_schema.character_sets ORDER BY 1")
    return [name for (name,) in names if name != "binary"]


def _codes(name: str) -> Iterator[bytes]:
    """One character each: all of one and two bytes, for some sets also longer ones."""
    if name in _WIDE:
        codec = {"ucs2": "utf-16-be", "utf16": "utf-16-be", "utf16le": "utf-16-le", "utf32": "utf-32-be"}
        top = 0x10000 if name in {"ucs2", "utf8mb3"} else 0x110000
        yield from (chr(code).encode(codec.get(name, "utf-8")) for code in _UNICODE_SAMPLE if code < top)
        return
    yield from (bytes([code]) for code in range(256))
    if name in {"big5", "cp932", "eucjpms", "euckr", "gb18030", "gb2312", "gbk", "sjis", "ujis"}:
        yield from (bytes((lead, trail)) for lead in range(0x81, 0xFF) for trail in range(0x30, 0xFF))
    if name in {"eucjpms", "ujis"}:
        yield from (bytes((0x8F, lead, trail)) for lead in range(0xA1, 0xFF) for trail in range(0xA1, 0xFF))
    if name == "gb18030":
        longer = (chr(code).encode("gb18030") for code in _UNICODE_SAMPLE)
        yield from (code for code in longer if len(code) == 4)


def _server_says(reader: SourceReader, name: str, codes: list[bytes]) -> list[str | None]:
    """What each code is; None if it is malformed, or has no Unicode character (`?`, U+FFFD, nothing)."""
    said: list[str | None] = []
    for start in range(0, len(codes), 500):
        parts = ", ".join(
            f"IF(CAST(CAST(x'{code.hex()}' AS CHAR CHARACTER SET {name}) AS BINARY) = x'{code.hex()}',"
            f" HEX(CONVERT(CAST(x'{code.hex()}' AS CHAR CHARACTER SET {name}) USING utf8mb4)), NULL)"
            for code in codes[start : start + 500]
        )
        (row,) = reader.sql("SET SESSION sql_mode = ''", f"SELECT {parts}")
        said.extend(_meant(answer, code, name) for answer, code in zip(row, codes[start : start + 500], strict=True))
    return said


def _meant(answer: str | None, code: bytes, name: str) -> str | None:
    text = bytes.fromhex(answer).decode() if answer else ""
    undefined = not text or ("?" in text and b"?" not in code) or ("\ufffd" in text and name not in _WIDE)
    return None if undefined else text


def _we_say(name: str, code: bytes) -> str | None:
    try:
        return charset.decoder(name)(code)
    except UnicodeDecodeError:
        return None


def test_every_collation_has_its_character_set(reader: SourceReader) -> None:
    rows = reader.sql("SELECT id, character_set_name FROM information_schema.collations")
    assert {number: charset.of_collation(number) for number, _ in rows} == dict(rows)


def test_every_code_means_what_the_server_says(reader: SourceReader) -> None:
    for name in _charsets(reader):
        codes = list(_codes(name))
        said = _server_says(reader, name, codes)
        assert [
            (name, code.hex(), text) for code, text in zip(codes, said, strict=True) if _we_say(name, code) != text
        ] == []
        assert sum(text is not None for text in said) > 90


def test_every_character_set_in_one_table(reader: SourceReader) -> None:
    names = _charsets(reader)
    definitions = ", ".join(
        f"c_{name} LONGTEXT CHARACTER SET {name}, e_{name} ENUM({_label(name)}) CHARACTER SET {name}" for name in names
    )
    reader.sql(f"CREATE TABLE t (id INT PRIMARY KEY, {definitions})")
    values: list[Any] = []
    for name in names:
        codes = [code for code in _codes(name) if _we_say(name, code) is not None]
        values.extend((b"".join(codes), 1))
    marks = ", ".join("_binary %s, %s" for _ in names)
    with reader.connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO t VALUES (1, {marks})", values)
    columns = ", ".join(f"CONVERT(c_{name} USING utf8mb4), CONVERT(e_{name} USING utf8mb4)" for name in names)
    (shown,) = reader.sql(f"SELECT {columns} FROM t")
    (row,) = reader.read().rows
    assert list(row.values())[1:] == list(shown)


def _label(name: str) -> str:
    return {"swe7": "'åäö'", "ascii": "'abc'"}.get(name) or ("'ñ', 'x'" if name in _WIDE else "'abc'")


@pytest.mark.parametrize(
    ("name", "raw"),
    [("swe7", b"ab\x80"), ("big5", b"\xa1\x5a"), ("tis620", b"\xff")],
)
def test_what_has_no_meaning_is_kept_as_bytes(reader: SourceReader, name: str, raw: bytes) -> None:
    reader.sql(
        f"CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20) CHARACTER SET {name}, w VARCHAR(9))",
        "SET SESSION sql_mode = ''",
    )
    with reader.connection.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (1, _binary %s, 'fine'), (2, 'ok', 'fine')", (raw,))
    ((stored,), _) = reader.sql("SELECT CAST(v AS BINARY) FROM t ORDER BY id")
    if stored != raw:
        pytest.skip(f"the server does not store {raw!r} as {name}")
    seen = reader.read()
    first, second = seen.events
    (loss,) = [loss for batch in seen.batches for loss in batch.losses]
    assert (loss.kind, loss.table, loss.columns, loss.count) == ("undecodable", f"{reader.db}.t", ("v",), 1)
    assert first["after"]["v"] == "base64:" + base64.b64encode(raw).decode()
    assert first["source"]["undecodable"] == ["v"]
    assert "undecodable" not in second["source"]
