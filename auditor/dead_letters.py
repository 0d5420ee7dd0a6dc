"""Events of a table that Elasticsearch refused, by seq; there may be millions, so they lie in a file."""

from __future__ import annotations

import math
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import blake2b
from typing import cast

import orjson

from auditor.run_context import Context
from auditor.spill import unroomy
from ops.control import ControlReader
from schemas.deadletter import Place, dropped_seq, place_of
from schemas.names import deadletter_topic

_SILENCE_S = 60
_PULSE_EVERY = 1000  # messages

# A database without a name is a file of its own, gone when closed; what is in memory of it is its cache.
_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -16384;
CREATE TABLE letters (key BLOB, seq INTEGER, id BLOB, PRIMARY KEY (key, seq)) WITHOUT ROWID;
CREATE INDEX seqs ON letters (seq);
CREATE INDEX ids ON letters (id, seq);
BEGIN
"""


class DeadLetters:
    """Reads `<source>.__deadletter` on, as often as asked; a letter that was dropped explains nothing any more.

    Nor does one that another index than the alias's refused: one that a rebuild was building, and that was given up.
    `seq in letters`: the event with this seq was refused, and its letter is the newest of its row or still there.
    `lowest`: partition -> an offset that no letter's event is below.
    """

    def __init__(self, context: Context, topic: str, alias: str) -> None:
        self._topic, self._alias = topic, alias
        self.lowest: dict[int, int] = {}
        # The key of a letter begins with the topic: others need no look at what they say.
        self._begins = orjson.dumps({"topic": topic})[:-1] + b","
        self._context = context
        self._reader: ControlReader | None = None
        self._file = sqlite3.connect("", isolation_level=None)
        with _room():
            self._file.executescript(_TABLES)

    def read_on(self) -> None:
        """To the topic's end.

        Raises `UnreachableError` when nothing comes, `StoppedError`, `FormatError`, `InconclusiveError` without room.
        """
        if self._reader is None:
            name = deadletter_topic(self._context.settings.source.name)
            self._reader = ControlReader(self._context.settings.kafka, self._context.client_id, name)
        for number, message in enumerate(self._reader.to_end(timeout_s=math.inf, silence_s=_SILENCE_S)):
            if number % _PULSE_EVERY == 0:
                self._context.pulse()
            key, value = message.key() or b"", message.value()
            if not key.startswith(self._begins):
                continue
            if value is None:
                self._drop(key, dropped_seq(cast("list[tuple[str, bytes]] | None", message.headers())))
            else:
                self._add(key, place_of(value))

    def __contains__(self, seq: object) -> bool:
        return bool(self._asked("SELECT count(*) FROM letters WHERE seq = ?", seq))

    def newest(self, id_: str) -> int:
        """The seq of the last letter of a document; 0 if there is none."""
        return self._asked("SELECT coalesce(max(seq), 0) FROM letters WHERE id = ?", _digest(id_.encode()))

    def _asked(self, sql: str, parameter: object) -> int:
        with _room(), closing(self._file.execute(sql, (parameter,))) as cursor:
            return int(cursor.fetchone()[0])

    def _add(self, key: bytes, place: Place) -> None:
        if (place.topic, place.alias) == (self._topic, self._alias):
            row = _digest(key), place.seq, _digest(place.id.encode())
            with _room():
                self._file.execute("INSERT OR REPLACE INTO letters VALUES (?, ?, ?)", row)
            self.lowest[place.partition] = min(place.offset, self.lowest.get(place.partition, place.offset))

    def _drop(self, key: bytes, seq: int | None) -> None:
        limit = (1 << 63) - 1 if seq is None else seq
        with _room():
            self._file.execute("DELETE FROM letters WHERE key = ? AND seq <= ?", (_digest(key), limit))

    def close(self) -> None:
        self._file.close()
        if self._reader is not None:
            self._reader.close()


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise unroomy("dead letters cannot be kept on the disk", error, tempfile.gettempdir()) from error


def _digest(text: bytes) -> bytes:
    return blake2b(text, digest_size=16).digest()
