"""Changes that Elasticsearch refused go to `<source>.__deadletter`, and are safe there before they count as done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from ops import metrics
from ops.kafka import answer, producer, translate
from ops.log import logger
from ops.settings import Settings
from schemas.deadletter import DeadLetter
from schemas.errors import UnreachableError
from schemas.key import document_id
from schemas.names import deadletter_topic
from sink.bulk import Answer
from sink.part import Item

_log = logger(__name__)

_REASON_CHARACTERS = 10_000
_META_TIMEOUT_S = 15


def letter_of(item: Item, answer: Answer) -> DeadLetter:
    """The event, whole, and why it was refused; `id` is the document's."""
    return DeadLetter(
        topic=item.part.topic,
        partition=item.part.number,
        offset=item.offset,
        key=item.kafka_key.decode(),
        key_text=item.key,
        seq=item.seq,
        index=item.part.alias,
        id=document_id(item.key),
        status=answer.status,
        type=answer.type,
        reason=answer.reason[:_REASON_CHARACTERS],
        ts_ms=int(time.time() * 1000),
        value=item.value.decode() if item.value is not None else None,
    )


def ensure_topic(admin: AdminClient, settings: Settings) -> None:
    """Make the dead-letter topic if it is missing: compacted, one partition, twice the size of an event."""
    name = deadletter_topic(settings.source.name)
    kafka = settings.kafka
    where = kafka.bootstrap_servers
    topic = NewTopic(
        name,
        num_partitions=1,
        replication_factor=kafka.replication_factor,
        config={"cleanup.policy": "compact", "max.message.bytes": str(kafka.max_event_bytes * 2)},
    )
    try:
        if admin.list_topics(name, timeout=_META_TIMEOUT_S).topics[name].error is None:
            return
    except KafkaException as error:
        raise translate(error, where) from error
    asked = admin.create_topics([topic], request_timeout=_META_TIMEOUT_S)[name]
    with suppress(KafkaException):  # somebody else was faster; every other error is one of ours
        answer(asked, _META_TIMEOUT_S, where, expected=(KafkaError.TOPIC_ALREADY_EXISTS,))


class DeadLetters:
    """Writes letters; for several threads at once."""

    def __init__(self, settings: Settings, client_id: str) -> None:
        self._where = settings.kafka.bootstrap_servers
        self._topic = deadletter_topic(settings.source.name)
        self._producer = producer(settings.kafka, client_id)

    def write(self, letters: Sequence[DeadLetter], *, wanted: Callable[[], bool]) -> None:
        """Write all of them and wait until every one is acknowledged by all in-sync replicas.

        Raises `UnreachableError` if Kafka does not take them, or `wanted` turns false; then all are written again.
        """
        batch = _Batch(len(letters))
        try:
            for letter in letters:
                self._produce(letter, batch)
            while batch.open and wanted():
                self._producer.poll(0.2)
        except (KafkaException, BufferError) as error:
            raise UnreachableError(f"dead letter not written: {error}", where=self._where) from error
        if batch.open or batch.error:
            raise UnreachableError(f"dead letter not written: {batch.error or 'stopping'}", where=self._where)
        for letter in letters:
            metrics.SINK_DEAD_LETTERS.labels(letter.type).inc()
            _log.error(
                "a change was refused and is in the dead-letter topic",
                action="dead_letter",
                topic=letter.topic,
                partition=letter.partition,
                offset=letter.offset,
                status=letter.status,
                type=letter.type,
            )

    def _produce(self, letter: DeadLetter, batch: _Batch) -> None:
        try:
            self._send(letter, batch)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                raise
            # Quoting can more than double an event; its place in the topic is in the letter all the same.
            self._send(letter.model_copy(update={"value": None, "reason": f"(event left out) {letter.reason}"}), batch)

    def _send(self, letter: DeadLetter, batch: _Batch) -> None:
        value = letter.model_dump_json().encode()
        self._producer.produce(self._topic, value, key=letter.record_key(), on_delivery=batch.done)

    def close(self) -> None:
        self._producer.flush(1)


class _Batch:
    """Counts acknowledgements; any thread that polls may bring them."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self.open = count
        self.error: KafkaError | None = None

    def done(self, error: KafkaError | None, _message: Message | Any) -> None:
        with self._lock:
            self.open -= 1
            self.error = self.error or error
