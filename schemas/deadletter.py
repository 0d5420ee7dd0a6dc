"""The record of a change that Elasticsearch refused: kept whole, with the reason; and which of them stand."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
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


def place_of(value: bytes) -> Place:
    """The same of a value, which is not looked at any further. Raises `FormatError` for a newer tidemark's."""
    found = orjson.loads(value)
    check_format(found, "dead letter")
    try:
        return Place(found["topic"], found["index"], int(found["seq"]), found["id"])
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"not a dead letter: {type(error).__name__}: {error}") from None


def dropped_seq(headers: Iterable[tuple[str, Any]] | None) -> int | None:
    """Up to which seq a null value drops the letters of its key; None for one without the header: all of them."""
    return next((int(value) for name, value in headers or () if name == SEQ_HEADER), None)


class Standing:
    """Which letters stand: the newest of a key, unless it was dropped.

    A letter can be written while an older one of its key is being dropped, so a drop names the seq that it means.
    """

    def __init__(self) -> None:
        self._found: dict[bytes, tuple[int, int]] = {}  # a key's digest -> number and seq

    def wrote(self, key: bytes, number: int, seq: int) -> None:
        """A letter; `number` is its offset in the dead-letter topic."""
        name = _digest(key)
        if seq >= self._found.get(name, (0, -1))[1]:
            self._found[name] = (number, seq)

    def dropped(self, key: bytes, seq: int | None) -> None:
        name = _digest(key)
        if name in self._found and (seq is None or self._found[name][1] <= seq):
            del self._found[name]

    def seq(self, key: bytes) -> int:
        """Of the letter of a key that stands; -1 if none does."""
        return self._found.get(_digest(key), (0, -1))[1]

    @property
    def numbers(self) -> set[int]:
        return {number for number, _ in self._found.values()}


def _digest(key: bytes) -> bytes:
    # Keys can be long, and there can be many.
    return blake2b(key, digest_size=16).digest()
