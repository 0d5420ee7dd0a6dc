"""Looks into a topic: where it begins, which record comes first at an offset or a time, which seq lies below one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Self, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ops.control import ControlReader
from ops.kafka import consumer, translate
from ops.settings import Settings
from ops.shapes import reader_of

_TIMEOUT_S = 15
_SILENCE_S = 60
_FIRST_STEP = 100


class First(NamedTuple):
    """A record's offset, and when it was published."""

    offset: int
    published_ms: int


class Places:
    """One topic; committed records only. Use it in a `with`. Raises `TidemarkError`."""

    def __init__(self, settings: Settings, client_id: str, topic: str) -> None:
        self._settings = settings
        self._client_id = client_id
        self._topic = topic
        self._read = reader_of(settings.sink)
        self._consumer: Consumer = consumer(settings.kafka, client_id)

    @property
    def numbers(self) -> list[int]:
        """The topic's partitions; none if it does not exist."""
        with self._translated():
            found = self._consumer.list_topics(self._topic, timeout=_TIMEOUT_S).topics[self._topic]
            if found.error is not None and found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise KafkaException(found.error)
        return sorted(found.partitions)

    def low(self, number: int) -> int:
        """The first offset."""
        with self._translated():
            place = TopicPartition(self._topic, number)
            return int(self._consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)[0])

    def offset_at(self, number: int, since_ms: int) -> int:
        """Of the first record that was published at or after a time; past everything if there is none."""
        with self._translated():
            (found,) = self._consumer.offsets_for_times(
                [TopicPartition(self._topic, number, since_ms)], timeout=_TIMEOUT_S
            )
            if found.error is not None:
                raise KafkaException(found.error)
        return found.offset if found.offset >= 0 else 1 << 62

    def first(self, number: int, offset: int) -> First | None:
        """The first record at or past an offset."""
        for message in self._records(number, offset):
            return First(message.offset() or 0, message.timestamp()[1])
        return None

    def seq_below(self, number: int, offset: int) -> int:
        """The seq of the last record below an offset, 0 if there is none."""
        low, start, step = self.low(number), offset, _FIRST_STEP
        while start > low:
            start, step = max(low, offset - step), step * 4
            if seq := max(self._seqs(number, start, offset), default=0):
                return seq
        return 0

    def _seqs(self, number: int, start: int, end: int) -> Iterator[int]:
        for message in self._records(number, start):
            if (message.offset() or 0) >= end:
                return
            headers = cast("list[tuple[str, Any]] | None", message.headers())
            yield self._read(message.key(), message.value(), headers, message.offset() or 0).seq

    def _records(self, number: int, start: int) -> Iterator[Message]:
        with ControlReader(self._settings.kafka, self._client_id, self._topic, start={number: start}) as reader:
            yield from reader.to_end(timeout_s=math.inf, silence_s=_SILENCE_S)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise translate(error, self._settings.kafka.bootstrap_servers) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()
