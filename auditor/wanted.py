"""The document that an event of a table makes: what the sink should have written."""

from __future__ import annotations

from typing import Any

import orjson
from confluent_kafka import Message

from auditor.decode import place
from auditor.events import Event
from schemas.document import cdc_block
from schemas.errors import DocumentError
from schemas.record import Kind
from schemas.shape import Shape


class Wanted:
    """One table's."""

    def __init__(self, topic_id: str, shape: Shape) -> None:
        self.topic_id = topic_id
        self._shape = shape

    def of_message(self, message: Message) -> dict[str, Any] | None:
        """The `_source` of a record's row; None for a record of which no document is made."""
        value = message.value()
        if value is None:
            return None
        found = self._shape.read(message.key(), value, None, place(message)[1])
        if found.event is None or found.kind is not Kind.UPSERT:
            return None
        return self._of(found.key, place(message), found.event)

    def of_event(self, key: str, event: Event) -> dict[str, Any] | None:
        """Likewise, of an event whose key's text is known."""
        return self._of(key, (event.partition, event.offset), event.envelope)

    def _of(self, key: str, at: tuple[int, int], envelope: dict[str, Any]) -> dict[str, Any] | None:
        source = envelope["source"]
        block = cdc_block(
            key=key,
            topic_id=self.topic_id,
            partition=at[0],
            offset=at[1],
            seq=int(source["seq"]),
            ts_ms=source["ts_ms"],
        )
        try:
            if self._shape.plain:
                fields = self._shape.fields(envelope)
            else:  # a transform may return what only JSON makes of it
                made = self._shape.json(envelope)
                fields = None if made is None else orjson.loads(made)
        except DocumentError:  # a dead letter, if it is its key's last event
            return None
        return None if fields is None else {**fields, "_cdc": block}
