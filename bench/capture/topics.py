"""The topics of a run: made before it, alike for both sides, and read after it the same way."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.capture.backlog import Truth
from bench.errors import BenchError

PARTITIONS = 6
_CONFIG = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(16 << 20), "cleanup.policy": "delete"}
_AT_ONCE = 10_000
_TIMEOUT_S = 30
_STEP_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a committed reader finds in a topic.

    `records`: all of them; `last`: what the last event of each key says; `half_at`: when the broker appended the record
    in the middle, `last_at`: and the last one, in seconds since the epoch; `value_bytes`: of all values.
    """

    records: int
    last: Truth
    half_at: float
    last_at: float
    value_bytes: int


class Topics:
    """Makes, watches, reads and removes topics of one cluster."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 2})

    def make(self, events: str, done: str) -> None:
        """The two topics of a run. Waits while topics of these names are still being deleted."""
        wanted = [
            NewTopic(events, num_partitions=PARTITIONS, replication_factor=1, config=_CONFIG),
            NewTopic(done, num_partitions=1, replication_factor=1, config=_CONFIG),
        ]
        deadline = time.monotonic() + _TIMEOUT_S
        for topic in wanted:
            while not self._made(topic):
                if time.monotonic() > deadline:
                    raise BenchError(f"topic {topic.topic} is not gone yet")
                time.sleep(0.1)

    def _made(self, topic: NewTopic) -> bool:
        try:
            self._admin.create_topics([topic])[topic.topic].result(_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            return False
        return True

    def remove(self, prefix: str) -> None:
        """Every topic whose name begins so."""
        names = [name for name in self._admin.list_topics(timeout=_TIMEOUT_S).topics if name.startswith(prefix)]
        for future in self._admin.delete_topics(names).values() if names else ():
            future.result(_TIMEOUT_S)

    @contextmanager
    def watch(self, topic: str) -> Iterator[Consumer]:
        """A committed reader of a one-partition topic, connected before the run begins."""
        consumer = self._consumer(topic, 1)
        try:
            consumer.poll(0.5)
            yield consumer
        finally:
            consumer.close()

    def read(self, topic: str) -> Seen:
        """All that is in the topic now."""
        consumer = self._consumer(topic, PARTITIONS)
        try:
            return _Reading(consumer, topic).run()
        finally:
            consumer.close()

    def _consumer(self, topic: str, partitions: int) -> Consumer:
        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap_servers,
                "log_level": 2,  # that a server of ours ends before we do is no news
                "group.id": "bench",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": partitions > 1,
                "fetch.wait.max.ms": 10,
                "fetch.message.max.bytes": 16 << 20,
            }
        )
        consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
        return consumer


class _Reading:
    def __init__(self, consumer: Consumer, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic
        self._open = set(range(PARTITIONS))
        self._last: dict[int, tuple[int, int]] = {}
        self._appended: list[int] = []
        self._bytes = 0

    def run(self) -> Seen:
        deadline = time.monotonic() + _TIMEOUT_S
        while self._open:
            # Waits until it has as many, or until the time is up, though it has some.
            for message in self._consumer.consume(_AT_ONCE, _STEP_S):
                self._take(message)
                deadline = time.monotonic() + _TIMEOUT_S
            if time.monotonic() > deadline:
                raise BenchError("Kafka does not give all records", where=self._topic)
        if not self._appended:
            raise BenchError("nothing was captured", where=self._topic)
        self._appended.sort()
        customers, names = map(sum, zip(*self._last.values(), strict=True))
        return Seen(
            records=len(self._appended),
            last=Truth(rows=len(self._last), customers=customers, names=names),
            half_at=self._appended[len(self._appended) // 2] / 1000,
            last_at=self._appended[-1] / 1000,
            value_bytes=self._bytes,
        )

    def _take(self, message: Any) -> None:
        error = message.error()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001  librdkafka's local errors begin so
                raise KafkaException(error)
            self._open.discard(message.partition())
            return
        value = message.value()
        after = orjson.loads(value)["after"]
        self._last[after["id"]] = (after["customer"], zlib.crc32(after["name"].encode()))
        self._appended.append(message.timestamp()[1])
        self._bytes += len(value)
