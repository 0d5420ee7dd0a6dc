"""The tables whose topics Debezium writes: found by the topics' names, with the columns that their records tell."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ops.kafka import consumer, translate
from ops.settings import Settings
from schemas.debezium import layout
from schemas.errors import FormatError
from schemas.table import Table
from schemas.watermark import Watermark

_TAIL = 100  # records at the end of a partition, one of which should be a row
_HEAD = 1000
_EOF = KafkaError._PARTITION_EOF  # noqa: SLF001  librdkafka's local errors begin with an underscore


class DebeziumTopics:
    """Not for several threads at once."""

    def __init__(self, settings: Settings, client_id: str) -> None:
        self._where = settings.kafka.bootstrap_servers
        self._prefix = f"{settings.source.name}."
        self._patterns = settings.sink.topics or [f"{self._prefix}*.*"]
        self._known: set[str] = set()
        self._consumer: Consumer = consumer(
            settings.kafka, client_id, auto_offset_reset="earliest", enable_partition_eof=True
        )

    def found(self, timeout_s: float) -> Iterator[Table]:
        """Tables that were not known yet; one whose topic has no row yet comes later. Raises `FormatError`."""
        deadline = time.monotonic() + timeout_s
        try:
            for topic, about in sorted(self._consumer.list_topics(timeout=timeout_s).topics.items()):
                if topic not in self._known and self._is_wanted(topic):
                    table = self._table(topic, sorted(about.partitions), deadline)
                    if table is not None:
                        self._known.add(topic)
                        yield table
        except KafkaException as error:
            raise translate(error, self._where) from error

    def _is_wanted(self, topic: str) -> bool:
        internal = topic.startswith(("__", f"{self._prefix}__"))
        return not internal and any(fnmatch.fnmatchcase(topic, pattern) for pattern in self._patterns)

    def _table(self, topic: str, partitions: list[int], deadline: float) -> Table | None:
        for number in partitions:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=15)
            for start in (max(low, high - _TAIL), low):
                piece = Watermark(partition=number, low=start, high=min(high, start + _HEAD))
                told = self._told(topic, piece, deadline)
                if told is not None:
                    return told
        return None

    def _told(self, topic: str, piece: Watermark, deadline: float) -> Table | None:
        """What the last row in a piece of a partition tells."""
        rows = [message for message in self._piece(topic, piece, deadline) if message.value()]
        for message in reversed(rows):
            try:
                told = layout(message.key(), message.value())
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise FormatError(
                    f"not a change event of Debezium: {type(error).__name__}: {error}",
                    where=f"{topic}[{piece.partition}] at offset {message.offset()}",
                    hint="Name the topics of tables in [sink] topics.",
                ) from None
            if told is not None:
                columns, key = told
                db, _, name = topic.removeprefix(self._prefix).rpartition(".")
                db = db or self._prefix[:-1]
                return Table(
                    db=db, name=name, version=1, columns=columns, primary_key=key, topic=topic, open=True
                )  # fmt: skip
        return None

    def _piece(self, topic: str, piece: Watermark, deadline: float) -> Iterator[Message]:
        if piece.empty:
            return
        self._consumer.assign([TopicPartition(topic, piece.partition, piece.low)])
        try:
            while time.monotonic() < deadline:
                for message in self._consumer.consume(_TAIL, timeout=0.5):
                    error = message.error()
                    if error is not None and error.code() != _EOF:
                        raise translate(error, self._where)
                    if error is not None or (message.offset() or 0) not in piece:
                        return
                    yield message
        finally:
            self._consumer.unassign()

    def close(self) -> None:
        self._consumer.close()
