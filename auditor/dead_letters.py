"""Events of a table that Elasticsearch refused, by seq."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import cast

from auditor.run_context import Context
from ops.control import ControlReader
from schemas.deadletter import dropped_seq, letter
from schemas.names import deadletter_topic


class DeadLetters:
    """Reads `<source>.__deadletter` on, as often as asked; a letter that was dropped explains nothing any more.

    Nor does one that another index than the alias's refused: one that a rebuild was building, and that was given up.
    """

    def __init__(self, context: Context, topic: str, alias: str) -> None:
        self._place = topic, alias
        self._context = context
        self._reader: ControlReader | None = None
        self._found: dict[bytes, dict[int, str]] = {}  # a letter's key -> seqs, and the document's _id with each
        self._last: dict[bytes, int] = {}  # a letter's key -> its highest seq
        self._seqs: set[int] = set()
        self.newest: dict[str, int] = {}  # _id -> seq of its last dead letter

    def read_on(self) -> AbstractSet[int]:
        """Seqs of this topic's dead letters, the newest of a row and what is still there of the others."""
        if self._reader is None:
            name = deadletter_topic(self._context.settings.source.name)
            self._reader = ControlReader(self._context.settings.kafka, self._context.client_id, name)
        for message in self._reader.to_end():
            key, value = message.key() or b"", message.value()
            if value is None:
                self._drop(key, dropped_seq(cast("list[tuple[str, bytes]] | None", message.headers())))
            elif ((found := letter(value)).topic, found.index) == self._place:
                self._add(key, found.seq, found.id)
        return self._seqs

    def _add(self, key: bytes, seq: int, id_: str) -> None:
        self._found.setdefault(key, {})[seq] = id_
        self._seqs.add(seq)
        if seq >= self._last.get(key, seq):
            self._set_last(key, seq)

    def _drop(self, key: bytes, seq: int | None) -> None:
        seqs = self._found.get(key, {})
        left = {other: id_ for other, id_ in seqs.items() if seq is not None and other > seq}
        self._seqs.difference_update(seqs.keys() - left.keys())
        self._set_last(key, max(left, default=None))
        self._found[key] = left

    def _set_last(self, key: bytes, seq: int | None) -> None:
        """Before what is known of the key is thrown away."""
        before = self._last.pop(key, None)
        if before is not None:
            self.newest.pop(self._found[key][before], None)
        if seq is not None:
            self._last[key] = seq
            self.newest[self._found[key][seq]] = seq

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
