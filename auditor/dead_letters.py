"""Events of a table that Elasticsearch refused, by seq."""

from __future__ import annotations

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

    def read_on(self) -> set[int]:
        """Seqs of this topic's dead letters, the newest of a row and what is still there of the others."""
        if self._reader is None:
            name = deadletter_topic(self._context.settings.source.name)
            self._reader = ControlReader(self._context.settings.kafka, self._context.client_id, name)
        for message in self._reader.to_end():
            key, value = message.key() or b"", message.value()
            if value is None:
                self._drop(key, dropped_seq(cast("list[tuple[str, bytes]] | None", message.headers())))
            elif ((found := letter(value)).topic, found.index) == self._place:
                self._found.setdefault(key, {})[found.seq] = found.id
        return {seq for seqs in self._found.values() for seq in seqs}

    @property
    def newest(self) -> dict[str, int]:
        """_id -> seq of its last dead letter."""
        return {seqs[max(seqs)]: max(seqs) for seqs in self._found.values() if seqs}

    def _drop(self, key: bytes, seq: int | None) -> None:
        seqs = self._found.pop(key, {})
        self._found[key] = {other: id_ for other, id_ in seqs.items() if seq is not None and other > seq}

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
