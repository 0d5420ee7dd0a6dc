"""Events of a table that Elasticsearch refused, by seq."""

from __future__ import annotations

import orjson

from auditor.run_context import Context
from ops.control import ControlReader
from schemas.deadletter import DeadLetter
from schemas.names import deadletter_topic
from schemas.table import check_format


class DeadLetters:
    """Reads `<source>.__deadletter` on, as often as asked."""

    def __init__(self, context: Context, topic: str) -> None:
        self._topic = topic
        self._context = context
        self._reader: ControlReader | None = None
        self.seqs: set[int] = set()
        self.newest: dict[str, int] = {}  # _id -> seq of its last dead letter

    def read_on(self) -> set[int]:
        """Seqs of this topic's dead letters, the newest included."""
        if self._reader is None:
            name = deadletter_topic(self._context.settings.source.name)
            self._reader = ControlReader(self._context.settings.kafka, self._context.client_id, name)
        for message in self._reader.to_end():
            value = message.value()
            if value is None:
                continue
            check_format(orjson.loads(value), "dead letter")
            letter = DeadLetter.model_validate_json(value)
            if letter.topic == self._topic:
                self.seqs.add(letter.seq)
                self.newest[letter.id] = max(letter.seq, self.newest.get(letter.id, 0))
        return self.seqs

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
