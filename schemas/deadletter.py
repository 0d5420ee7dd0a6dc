"""The record of a change that Elasticsearch refused: kept whole, with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field

from schemas.errors import FormatError
from schemas.event import SEQ_HEADER
from schemas.report import Seq
from schemas.table import FORMAT, check_format


class DeadLetter(BaseModel):
    """A value of `<source>.__deadletter`.

    `value` is the event's JSON as text, null for a tombstone and for an event that is too large; it stands in `topic`,
    whose UUID is `topic_id`. `status`, `type` and `reason` are Elasticsearch's, or with status 0 those of
    a `DocumentError`; `ts_ms` is when it was refused. `building`: by an index that a rebuild is building, so it is no
    letter of the table yet, and its key is another one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    table: str
    topic: str
    topic_id: str
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
    building: bool = False

    def record_key(self) -> bytes:
        """The Kafka key: one letter per topic and row key, the newest stands."""
        row: Any = orjson.Fragment(self.key.encode())
        return orjson.dumps({"topic": self.topic, "key": row, **({"index": self.index} if self.building else {})})


def letter(value: bytes) -> DeadLetter:
    """Read a value. Raises `FormatError` for a newer tidemark's."""
    check_format(orjson.loads(value), "dead letter")
    return DeadLetter.model_validate_json(value)


class Place(NamedTuple):
    """Which event a letter is about, and which alias's index refused it: all that an audit asks of it."""

    topic: str
    alias: str
    seq: int
    id: str
    partition: int
    offset: int


def place_of(value: bytes) -> Place:
    """The same of a value, which is not looked at any further. Raises `FormatError` for a newer tidemark's."""
    found = orjson.loads(value)
    check_format(found, "dead letter")
    try:
        return Place(
            found["topic"], found["index"], int(found["seq"]), found["id"], found["partition"], found["offset"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"not a dead letter: {type(error).__name__}: {error}") from None


def dropped_seq(headers: Iterable[tuple[str, Any]] | None) -> int | None:
    """Up to which seq a null value drops the letters of its key; None for one without the header: all of them."""
    return next((int(value) for name, value in headers or () if name == SEQ_HEADER), None)
