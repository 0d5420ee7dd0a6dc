"""Topics that are read without a group, as often as asked: control topics, from their beginning."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from ops.kafka import consumer, translate
from ops.settings import KafkaSettings
from schemas.errors import UnreachableError

_META_TIMEOUT_S = 10
_FETCH_WAIT_MS = 10  # how long the broker holds back that there is no more: nobody fetches between two readings


class ControlReader:
    """Follows one topic from its beginning, or partitions from the offsets in `start`. Not for several threads at once.

    An offset in `start` that the topic does not have any more is an error.
    """

    def __init__(
        self, settings: KafkaSettings, client_id: str, topic: str, *, start: Mapping[int, int] | None = None
    ) -> None:
        self._where = f"topic {topic} on {settings.bootstrap_servers}"
        self._topic = topic
        self._start = start
        self._consumer: Consumer = consumer(
            settings,
            client_id,
            auto_offset_reset="earliest" if start is None else "error",
            enable_partition_eof=True,  # else nothing tells that the position is past the last marker
            fetch_wait_max_ms=_FETCH_WAIT_MS,
        )
        self._assigned = False

    def to_end(
        self, *, timeout_s: float = 30, silence_s: float = math.inf, wanted: Callable[[], bool] = lambda: True
    ) -> Iterator[Message]:
        """Every committed record from where the last call ended up to the topic's end now; none if it does not exist.

        Raises `UnreachableError` when the end is not reached in time, nothing comes for `silence_s`, or `wanted` turns
        false.
        """
        try:
            if not self._assigned and not self._assign():
                return
            self._consumer.resume(self._consumer.assignment())
            yield from self._read(time.monotonic() + timeout_s, silence_s, wanted)
            self._consumer.pause(self._consumer.assignment())
        except KafkaException as error:
            raise translate(error, self._where) from error

    def _assign(self) -> bool:
        found = self._consumer.list_topics(self._topic, timeout=_META_TIMEOUT_S).topics[self._topic]
        if found.error is not None and found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return False
        if found.error is not None:
            raise translate(found.error, self._where)
        start = self._start if self._start is not None else dict.fromkeys(found.partitions, OFFSET_BEGINNING)
        self._consumer.assign([TopicPartition(self._topic, number, offset) for number, offset in start.items()])
        self._assigned = True
        return True

    def _ends(self) -> dict[int, int]:
        # With read_committed the high watermark that a consumer is told is the last stable offset.
        return {
            part.partition: self._consumer.get_watermark_offsets(part, timeout=_META_TIMEOUT_S)[1]
            for part in self._consumer.assignment()
        }

    def _read(self, deadline: float, silence_s: float, wanted: Callable[[], bool]) -> Iterator[Message]:
        ends = self._ends()
        behind = self._behind(ends)
        heard = time.monotonic()
        while behind:
            now = time.monotonic()
            if now > deadline or now - heard > silence_s or not wanted():
                raise UnreachableError(f"topic {self._topic} could not be read to its end in time", where=self._where)
            message = self._consumer.poll(0.2)
            if message is None:
                behind = self._behind(ends)
                continue
            error = message.error()
            if error is None:
                yield message
            elif error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001  librdkafka's local errors begin so
                raise translate(error, self._where)
            heard = time.monotonic()
            if error is not None or (message.offset() or 0) + 1 >= ends[message.partition() or 0]:
                behind = self._behind(ends)

    def _behind(self, ends: dict[int, int]) -> bool:
        # Positions move past transaction markers only once something behind them was polled, or the end was;
        # an empty partition has no position at all.
        low_or_position = {
            part.partition: part.offset if part.offset >= 0 else self._low(part)
            for part in self._consumer.position(self._consumer.assignment())
        }
        return any(low_or_position[number] < end for number, end in ends.items())

    def _low(self, part: TopicPartition) -> int:
        if self._start is not None:
            return self._start[part.partition]
        low: int = self._consumer.get_watermark_offsets(part, timeout=_META_TIMEOUT_S)[0]
        return low

    def close(self) -> None:
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
