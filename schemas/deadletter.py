"""The record of a change that Elasticsearch refused: kept whole, with the reason."""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from schemas.report import Seq
from schemas.table import FORMAT


class DeadLetter(BaseModel):
    """A value of `<source>.__deadletter`.

    `value` is the event's JSON as text; `status`, `type` and `reason` are Elasticsearch's; `ts_ms` is when it refused.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    topic: str
    partition: int
    offset: int
    key: str
    key_text: str
    seq: Seq
    index: str
    id: str = Field(description="_id of the document")
    status: int
    type: str
    reason: str
    ts_ms: int
    value: str | None

    def record_key(self) -> bytes:
        """The Kafka key: one letter per topic and row key, the newest stands."""
        return record_key(self.topic, self.key)


def record_key(topic: str, key: str) -> bytes:
    """The dead-letter record's key for a row key (the Kafka key's JSON text) of a topic."""
    row: Any = orjson.Fragment(key.encode())
    return orjson.dumps({"topic": topic, "key": row})
