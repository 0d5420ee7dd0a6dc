"""Changes that Elasticsearch refused go to `<source>.__deadletter`, and are safe there before they count as done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from ops import metrics
from ops.kafka import answer, metadata, producer, translate
from ops.log import logger
from ops.retry import is_retryable
from ops.settings import Settings
from schemas.deadletter import DeadLetter
from schemas.errors import RefusedError, TidemarkError, UnreachableError
from schemas.key import document_id
from schemas.names import deadletter_topic
from sink.bulk import Answer
from sink.letterbox import Letterbox
from sink.part import Item

_log = logger(__name__)

_REASON_CHARACTERS = 10_000
_META_TIMEOUT_S = 15
_LONGEST_WAIT_S = 2


def letter_of(item: Item, answer: Answer) -> DeadLetter:
    """The event, whole, and why it was refused; `id` is the document's."""
    return DeadLetter(
        table=item.part.table,
        topic=item.part.topic,
        topic_id=item.part.topic_id,
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
    if metadata(admin, name, where, _META_TIMEOUT_S).error is None:
        return
    asked = admin.create_topics([topic], request_timeout=_META_TIMEOUT_S)[name]
    with suppress(KafkaException):  # somebody else was faster; every other error is one of ours
        answer(asked, _META_TIMEOUT_S, where, expected=(KafkaError.TOPIC_ALREADY_EXISTS,))


class DeadLetters:
    """Writes letters; for several threads at once. `building`: those of an index that has not taken over yet."""

    def __init__(self, settings: Settings, client_id: str, *, building: bool = False) -> None:
        self._building = building
        self._where = settings.kafka.bootstrap_servers
        self._topic = deadletter_topic(settings.source.name)
        self._settings = settings
        self._kafka = settings.kafka
        self._client_id = client_id
        self._lock = threading.Lock()
        self._producer = self._new()

    def _new(self) -> Producer:
        # A broker refuses a batch as a whole: alone in its batch, a letter that is too large takes no other with it.
        return producer(self._kafka, self._client_id, batch_num_messages=1)

    def write(
        self, letters: Sequence[DeadLetter], *, wanted: Callable[[], bool], ours: Callable[[], bool] = lambda: True
    ) -> None:
        """Write all of them and wait until every one is acknowledged by all in-sync replicas.

        One that is too large for Kafka goes without its event. Raises `UnreachableError` if Kafka does not take them,
        or `wanted` turns false; then all are written again. Raises `RefusedError` if we may not write them.
        `ours`: nobody else writes letters of these partitions.
        """
        if self._building:
            letters = [letter.model_copy(update={"building": True}) for letter in letters]
        try:
            self._write(letters, wanted)
        finally:
            # Frozen on the way, we may have written behind the newer letters of whoever has the partitions now.
            if not ours():
                self._unbury(letters, wanted)

    def _unbury(self, letters: Sequence[DeadLetter], wanted: Callable[[], bool]) -> None:
        again = Retrying(
            retry=retry_if_exception(is_retryable),
            wait=wait_random_exponential(multiplier=0.2, max=_LONGEST_WAIT_S),
            stop=lambda _state: not wanted(),
            before_sleep=self._tell,
            reraise=True,
        )
        keys = {letter.record_key() for letter in letters}

        def unbury() -> None:
            with Letterbox(self._settings, self._client_id) as letterbox:
                letterbox.unbury(keys)

        again(unbury)

    def _tell(self, state: RetryCallState) -> None:
        reason = str(state.outcome.exception()) if state.outcome else ""
        _log.warning(
            "letters that were written late may hide newer ones: looking again", action="unbury", reason=reason
        )

    def _write(self, letters: Sequence[DeadLetter], wanted: Callable[[], bool]) -> None:
        too_large = self._deliver(letters, wanted)
        if too_large:
            # All of them: the newest letter of a key has to be the last one.
            shorter = [_without_event(letter) if n in too_large else letter for n, letter in enumerate(letters)]
            if self._deliver(shorter, wanted):
                raise UnreachableError("dead letter not written: too large even without its event", where=self._where)
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

    def _deliver(self, letters: Sequence[DeadLetter], wanted: Callable[[], bool]) -> set[int]:
        """Those that are too large, by their places; all others are safe."""
        sender, batch = self._producer, _Batch(len(letters))
        try:
            for number, letter in enumerate(letters):
                self._send(sender, number, letter, batch)
            while batch.open and wanted():
                sender.poll(0.2)
        except BufferError as error:
            raise UnreachableError(f"dead letter not written: {error}", where=self._where) from error
        except KafkaException as error:
            raise self._failed(sender, error.args[0]) from error
        if batch.error:
            raise self._failed(sender, batch.error)
        if batch.open:
            raise UnreachableError("dead letter not written: stopping", where=self._where)
        return batch.too_large

    def _failed(self, sender: Producer, error: KafkaError) -> TidemarkError:
        if _is_fatal(error):
            self._replace(sender)
        found = translate(error, f"topic {self._topic} on {self._where}")
        if isinstance(found, RefusedError):
            return found
        return UnreachableError(f"dead letter not written: {error}", where=self._where)

    def _send(self, sender: Producer, number: int, letter: DeadLetter, batch: _Batch) -> None:
        def done(error: KafkaError | None, _message: Message | Any) -> None:
            batch.done(number, error)

        try:
            sender.produce(self._topic, letter.model_dump_json().encode(), key=letter.record_key(), on_delivery=done)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                raise
            done(error.args[0], None)

    def _replace(self, broken: Producer) -> None:
        """A producer that has reported a fatal error does nothing any more."""
        with self._lock:
            if self._producer is broken:
                self._producer = self._new()

    def close(self) -> None:
        """What is still on its way is not done, and the next sink may have written more of its keys already."""
        with suppress(KafkaException):  # nothing waits there; one that was refused before it wrote anything says so
            self._producer.purge()
            self._producer.flush(1)


def _is_fatal(error: KafkaError) -> bool:
    return error.fatal() or error.code() == KafkaError._FATAL  # noqa: SLF001  librdkafka's local errors begin so


def _without_event(letter: DeadLetter) -> DeadLetter:
    # Quoting can more than double an event; its place in the topic is in the letter all the same.
    return letter.model_copy(update={"value": None, "reason": f"(event left out) {letter.reason}"})


class _Batch:
    """Counts acknowledgements; any thread that polls may bring them."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self.open = count
        self.error: KafkaError | None = None
        self.too_large: set[int] = set()

    def done(self, number: int, error: KafkaError | None) -> None:
        with self._lock:
            self.open -= 1
            if error and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                self.too_large.add(number)
            elif error:
                self.error = self.error if self.error and _is_fatal(self.error) else error
