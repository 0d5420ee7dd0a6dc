"""QUERY events: the statement, and what has to be known to read it. Bytes in, text out.

Layout: `Query_event` in MySQL's `libs/mysql/binlog/event/statement_events.h`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cdc.source import charset

_ANSI_QUOTES = 1 << 2
_NO_BACKSLASH_ESCAPES = 1 << 20

_SQL_MODE, _CHARSET, _UPDATED_DBS = 1, 4, 12
_FIXED_BYTES = {0: 4, 1: 8, 3: 4, 4: 6, 7: 2, 8: 2, 9: 8, 10: 4, 13: 3, 16: 1, 17: 8, 18: 2, 19: 1, 20: 1}
_STRINGS = {2: 1, 5: 1, 6: 1, 11: 2}  # code -> how many strings with a length byte
_TOO_MANY_DBS = 254


class Query(NamedTuple):
    """A statement as it was logged. `updated_dbs`: databases that it wrote to, triggers included; None if unknown."""

    thread: int
    db: str
    text: str
    ansi_quotes: bool
    backslash_escapes: bool
    updated_dbs: tuple[str, ...] | None


def parse_query(body: bytes, *, load: bool = False) -> Query:
    """A QUERY event; `load`: an EXECUTE_LOAD_QUERY, which has 13 more bytes in its head."""
    db_length = body[8]
    at = 13 + (13 if load else 0)
    status_end = at + int.from_bytes(body[11:13], "little")
    status = dict(_status(body[at:status_end]))
    db_end = status_end + db_length
    mode = int.from_bytes(status.get(_SQL_MODE, b""), "little")
    return Query(
        thread=int.from_bytes(body[:4], "little"),
        db=body[status_end:db_end].decode(),
        text=_text(body[db_end + 1 :], status.get(_CHARSET, b"")),
        ansi_quotes=bool(mode & _ANSI_QUOTES),
        backslash_escapes=not mode & _NO_BACKSLASH_ESCAPES,
        updated_dbs=_names(status.get(_UPDATED_DBS, b"")),
    )


def _text(raw: bytes, charsets: bytes) -> str:
    # The client's character set. A literal in another one may not decode; names do, and only they are of interest.
    name = charset.of_collation(int.from_bytes(charsets[:2], "little")) if charsets else "utf8mb4"
    try:
        return charset.decoder(name)(raw)
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace")


def _status(block: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(block):
        code, start = block[at], at + 1
        end = _status_end(code, block, start)
        if end is None:  # a newer server's; those of interest come first
            return
        yield code, block[start:end]
        at = end


def _status_end(code: int, block: bytes, at: int) -> int | None:
    if code in _FIXED_BYTES:
        return at + _FIXED_BYTES[code]
    if code in _STRINGS:
        for _ in range(_STRINGS[code]):
            at += 1 + block[at]
        return at + (1 if code == 2 else 0)
    if code == _UPDATED_DBS:
        count, at = block[at], at + 1
        for _ in range(0 if count == _TOO_MANY_DBS else count):
            at = block.index(0, at) + 1
        return at
    return None


def _names(block: bytes) -> tuple[str, ...] | None:
    if not block or block[0] == _TOO_MANY_DBS:
        return None
    return tuple(name.decode() for name in block[1:].split(b"\0")[:-1])
