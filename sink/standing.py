"""Which dead letters stand. There may be as many as a table has rows, so they lie in a file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import blake2b
from typing import Any

_PAGE = 1000

# A database without a name is a file of its own, gone when closed; what is in memory of it is its cache.
_TABLE = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -16384;
CREATE TABLE standing (key BLOB PRIMARY KEY, number INTEGER, seq INTEGER) WITHOUT ROWID;
CREATE INDEX numbers ON standing (number);
BEGIN
"""


class Standing:
    """The newest letter of a key, unless it was dropped.

    A letter can be written while an older one of its key is being dropped, so a drop names the seq that it means.
    """

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.executescript(_TABLE)

    def wrote(self, key: bytes, number: int, seq: int) -> None:
        """A letter; `number` is its offset in the dead-letter topic."""
        self._file.execute(
            "INSERT INTO standing VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE "
            "SET number = excluded.number, seq = excluded.seq WHERE excluded.seq >= seq",
            (_digest(key), number, seq),
        )

    def dropped(self, key: bytes, seq: int | None) -> None:
        """The letters of a key up to a seq; None: all of them."""
        limit = (1 << 63) - 1 if seq is None else seq
        self._file.execute("DELETE FROM standing WHERE key = ? AND seq <= ?", (_digest(key), limit))

    def seq(self, key: bytes) -> int:
        """Of the letter of a key that stands; -1 if none does."""
        found = self._rows("SELECT seq FROM standing WHERE key = ?", _digest(key))
        return int(found[0][0]) if found else -1

    def numbers(self) -> Iterator[int]:
        """Of those that stand now, in order; without those that are dropped meanwhile."""
        last = self._rows("SELECT coalesce(max(number), -1) FROM standing")[0][0]
        place = -1
        page = "SELECT number FROM standing WHERE number > ? AND number <= ? ORDER BY number LIMIT ?"
        while found := self._rows(page, place, last, _PAGE):
            for (place,) in found:
                yield place

    def _rows(self, sql: str, *parameters: object) -> list[Any]:
        with closing(self._file.execute(sql, parameters)) as cursor:
            return cursor.fetchall()

    def close(self) -> None:
        self._file.close()


def _digest(key: bytes) -> bytes:
    # Keys can be long.
    return blake2b(key, digest_size=16).digest()
