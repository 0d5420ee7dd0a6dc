"""Publishes batches and the position after them in one Kafka transaction: both are there, or neither is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Self

import orjson
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from cdc.definitions import Note
from cdc.opened import Bounds, Opened, Sizes
from cdc.position_store import CLAIM_KEY, POSITION_KEY, Instance, PositionStore, Stored
from cdc.route import TableRouter
from cdc.runs import LONGEST, Run, release, runs
from cdc.runs import topics as topics_of
from cdc.source.seam import Batch, Record
from cdc.topics import Topics
from ops import crashpoint
from ops.catalog import schema_key
from ops.kafka import metadata, producer, translate
from ops.log import logger
from ops.settings import Settings
from ops.stop import Stop
from schemas.errors import (
    ConfigError,
    GivenUpError,
    SlowCommitError,
    TidemarkError,
    TopicMismatchError,
    UnreachableError,
)
from schemas.names import schema_topic
from schemas.position import Position

_log = logger(__name__)

_STEP_S = 0.5  # a librdkafka call in C sees no signal, so waiting is cut into pieces
_POLL_S = 0.1
_ABORT_S = 3
_CLOSE_S = 1
_SLOW_S = 30  # at least
_CLIENT_BATCH_BYTES = 1_000_000  # librdkafka's default for batch.size
_QUEUE = 100_000  # librdkafka's default for queue.buffering.max.messages
_IN_FLIGHT_BYTES = 8 << 20  # enough to keep a broker busy; what waits longer is only memory

#: Another owner, or a transaction that timed out.
_FENCING = {
    KafkaError._FENCED,  # noqa: SLF001  librdkafka's local errors begin with an underscore
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.INVALID_PRODUCER_ID_MAPPING,
    KafkaError.INVALID_TXN_STATE,
    getattr(KafkaError, "PRODUCER_FENCED", 90),
}
_BROKERS = "Check that the brokers are up, and the state of topic __transaction_state."
_TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}


class Publisher:
    """One producer's life, from `open` to the first error: after one, throw it away and make a new one."""

    def __init__(
        self,
        settings: Settings,
        store: PositionStore,
        instance: Instance,
        stop: Stop,
        *,
        share: float = 1.0,
    ) -> None:
        self._settings = settings
        self._sizes = Sizes(Bounds.of(settings.cdc, share))
        self._opened: Opened | None = None
        self._where = settings.kafka.bootstrap_servers
        self._store = store
        self._instance = instance
        self._stop = stop
        # Half of librdkafka's socket time-out, which follows the transaction's: what is slower may be in flight twice.
        self._slow_s = max(_SLOW_S, settings.kafka.transaction_timeout_s / 2)
        self._newest = ""  # what was to be published last, for people
        self._followed = False
        self.fences = False  # whoever owned the source before
        self._waited_s = 0.0  # for Kafka, in this transaction: not the time in which this process stood still
        self._undelivered: KafkaError | None = None
        self._undelivered_to = ""
        timeout_ms = int(settings.kafka.transaction_timeout_s * 1000)
        self._producer: Producer = producer(
            settings.kafka,
            f"{settings.source.name}-cdc",
            transactional_id=settings.source.name,
            transaction_timeout_ms=timeout_ms,
            message_timeout_ms=timeout_ms,
            # A topic's limit is on a whole batch.
            batch_size=min(_CLIENT_BATCH_BYTES, settings.kafka.max_event_bytes),
            delivery_report_only_error=True,
            on_delivery=self._delivered,
        )

    def open(self) -> None:
        """Fence the previous owner and end what it left open. Raises `UnreachableError` after half a minute."""
        # Without a connection the client looks for its coordinator in vain, and again only after half a second.
        metadata(self._producer, self._store.topic, self._where)
        self._patiently(self._producer.init_transactions, "init_transactions")
        self.fences = True

    def follow(self, stored: Stored) -> None:
        """From here on a claim that is neither this one nor ours is another owner's."""
        self._store.follow(stored)
        self._followed = True

    def wait(self, seconds: float) -> None:
        """Raises `UnreachableError` if there is no time for it."""
        self._producer.poll(seconds)
        if self._hurried():
            raise UnreachableError("asked to stop while waiting for Kafka", where=self._where)

    def end(self, records: Iterable[Record], *, commit: bool) -> None:
        """Write the end of a transaction into the partitions of these records, which share its fate."""
        with self._all_or_nothing():
            self._begin()
            for record in records:
                self._produce(record)
            if commit:
                self._commit()
                return
            self._make_room(1, 0)  # an abort forgets what is not sent yet, and its partition too
            if self._undelivered is not None:
                raise KafkaException(self._undelivered)
            self._patiently(self._producer.abort_transaction, "abort_transaction")

    def claim(self) -> None:
        """Write down that this instance owns the source now."""
        value = orjson.dumps(self._instance.to_json())
        self._transaction(Record(self._store.topic, 0, CLAIM_KEY, value))
        self._store.claimed()

    def store(self, position: Position) -> None:
        """Commit a position that comes from no batch."""
        value = orjson.dumps(position.to_json())
        self._transaction(Record(self._store.topic, 0, POSITION_KEY, value))

    def publish(
        self, batch: Batch, *, router: TableRouter, topics: Topics, known: Position, notes: Sequence[Note] = ()
    ) -> Position | None:
        """Publish the batch, its new layouts, and further `notes` for `__schema`; gives the position when it commits.

        While more is at hand, the transaction stays open for it, within its bounds. `known`: the position that the
        session began with. Raises `FencedError`, `TopicMismatchError`, `UnreachableError`; after any of them nothing
        since the last commit is visible, or all of it is: read the position again.
        """
        used = sorted(topics_of(batch.records))
        topics.ensure({name: router.partitions(name) for name in used}, pinned=known.partitions)
        self._newest = f"{batch.rows} row changes, {batch.size_bytes} bytes, for {', '.join(used) or 'no topic'}"
        layouts = [(schema_key(table), orjson.dumps(table.to_json())) for table in batch.tables]
        # Not all that the router has pinned: the reading thread is ahead, with topics that do not exist yet.
        position = replace(batch.position, partitions={**known.partitions, **batch.position.partitions})
        with self._all_or_nothing():
            if self._opened is None:
                self._begin()
                self._opened = self._sizes.open(position)
            self._fill(batch, [*layouts, *notes])
        self._opened.add(batch, position)
        return None if batch.more and not self._opened.full else self.settle()

    def settle(self) -> Position | None:
        """Commit what is open with the position after it, and give that; None if nothing is open."""
        opened = self._opened
        if opened is None:
            return None
        with self._all_or_nothing():
            self._produce(Record(self._store.topic, 0, POSITION_KEY, orjson.dumps(opened.position.to_json())))
            crashpoint.reached("before_commit")
            self._commit()
        self._sizes.closed(opened)
        self._opened = None
        return opened.position

    def _fill(self, batch: Batch, notes: Iterable[Note]) -> None:
        topic = schema_topic(self._settings.source.name)
        for key, value in notes:
            self._produce(Record(topic, 0, key, value))
        room = _room(batch)
        for item in runs(batch.records):
            self._produce(item, room) if isinstance(item, Record) else self._produce_run(item, room)
            crashpoint.reached("mid_transaction")
        release(batch.records)  # the client has copied them

    def _transaction(self, record: Record) -> None:
        with self._all_or_nothing():
            self._begin()
            self._produce(record)
            self._commit()

    def _begin(self) -> None:
        self._undelivered, self._undelivered_to = None, ""
        self._waited_s = 0.0
        self._producer.begin_transaction()

    def _commit(self) -> None:
        self._patiently(self._producer.commit_transaction, "commit_transaction")

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        try:
            yield
        except (KafkaException, BufferError) as error:
            self._opened = None
            raise self._give_up(error) from error
        except TidemarkError:
            self._opened = None
            self._abort()
            raise

    def _produce(self, record: Record, room: int = _QUEUE - LONGEST) -> None:
        topic, partition, key, value, headers = record
        self._make_room(1, room)
        self._producer.produce(topic, value=value, key=key, partition=partition, headers=list(headers) or None)

    def _produce_run(self, run: Run, room: int) -> None:
        self._make_room(len(run.messages), room)
        queued = self._producer.produce_batch(run.topic, run.messages, partition=run.partition)
        if queued != len(run.messages):
            first = next((message["_error"] for message in run.messages if "_error" in message), None)
            if isinstance(first, KafkaError):
                raise KafkaException(first)
            raise UnreachableError(f"Kafka's client took {queued} of {len(run.messages)} records", where=run.topic)

    def _make_room(self, wanted: int, room: int) -> None:
        # A run that is taken in part cannot be produced again without duplicates, so it is not begun.
        self._producer.poll(0)
        deadline = time.monotonic() + self._slow_s
        while (waiting := len(self._producer)) and waiting + wanted > room:
            if time.monotonic() > deadline or self._hurried():
                raise self._slow_commit(f"Kafka does not take the records within {self._slow_s:g} s")
            self._producer.poll(_POLL_S)
            self._waited_s += _POLL_S

    def _patiently(self, call: Callable[[float], None], name: str) -> None:
        """Repeat a transactional call while librdkafka says that it may be repeated."""
        deadline = time.monotonic() + self._slow_s
        while True:
            try:
                call(_STEP_S)
            except KafkaException as error:
                cause = error.args[0]
                if not cause.retriable() or cause.fatal():
                    raise self._give_up(error) from error
                self._waited_s += _STEP_S
                if time.monotonic() > deadline or self._hurried():
                    raise self._slow(name, cause) from error
            else:
                return

    def _hurried(self) -> bool:
        return self._stop.requested and self._stop.remaining_s < self._settings.service.stop_timeout_s / 2

    def _slow(self, name: str, cause: KafkaError) -> TidemarkError:
        what = f"Kafka does not finish {name} within {self._slow_s:g} s: {cause.str()}"
        if name == "commit_transaction":
            return self._slow_commit(what)
        return UnreachableError(what, where=self._where, hint=_BROKERS)

    def _slow_commit(self, what: str) -> SlowCommitError | GivenUpError:
        if not self._waited_long():  # this process stood still: a smaller batch would not help
            return GivenUpError(what, where=self._where)
        hint = f"{_BROKERS} The newest batch: {self._newest}. If the line needs longer for one event, raise [kafka] "
        hint += "transaction_timeout_s (half of it is waited for), or lower max_event_bytes."
        return SlowCommitError(what, where=self._where, hint=hint if self._newest else _BROKERS)

    def _give_up(self, error: KafkaException | BufferError) -> TidemarkError:
        """What the failure means. The transaction is aborted where that is still possible."""
        if isinstance(error, BufferError):
            self._abort()
            return UnreachableError("Kafka's client has no room for the records", where=self._where)
        cause: KafkaError = error.args[0]
        if cause.code() not in _FENCING:
            cause = self._cause(cause)
        return self._lost(cause) if cause.code() in _FENCING else self._explain(cause)

    def _cause(self, error: KafkaError) -> KafkaError:
        """What went wrong first, from what went wrong now; aborts where that is still possible."""
        if error.fatal() and error.code() != KafkaError._FATAL:  # noqa: SLF001
            return error
        # After a fatal error a produce says only _FATAL or _STATE; the transactional calls say which one it was.
        told = self._abort()
        if told is not None and told.fatal():
            return told
        return self._undelivered or error

    def _lost(self, cause: KafkaError) -> TidemarkError:
        # A transaction that timed out looks exactly like another owner: only the claim tells them apart.
        stored = self._store.read(lambda: not self._hurried())
        if self._followed and not self._store.is_ours(stored):
            return self._store.fenced(stored)
        return self._slow_commit(f"Kafka gave the transaction up: {cause.str()}")

    def _waited_long(self) -> bool:
        return self._waited_s >= self._settings.kafka.transaction_timeout_s / 4

    def _explain(self, cause: KafkaError) -> TidemarkError:
        if cause.code() in _TOO_LARGE:
            return TopicMismatchError(
                f"Kafka refuses an event as too large: {cause.str()}",
                where=self._undelivered_to + self._where,
                hint="A topic's max.message.bytes, or the broker's message.max.bytes, is below [kafka] "
                f"max_event_bytes = {self._settings.kafka.max_event_bytes}: raise it, or lower the setting.",
            )
        if cause.code() == KafkaError._MSG_TIMED_OUT:  # noqa: SLF001
            limit_s = self._settings.kafka.transaction_timeout_s
            timed_out = SlowCommitError if self._waited_long() else GivenUpError
            return timed_out(
                f"Kafka does not take the records within {limit_s:g} s: {cause.str()}",
                where=self._where,
                hint="Check that the brokers are up, and whether a quota holds this client back.",
            )
        if cause.code() == KafkaError.INVALID_TRANSACTION_TIMEOUT:
            return ConfigError(
                f"Kafka allows no transactions of {self._settings.kafka.transaction_timeout_s:g} s: {cause.str()}",
                where=self._where,
                hint="Lower [kafka] transaction_timeout_s, or raise the brokers' transaction.max.timeout.ms.",
            )
        return translate(cause, self._where)

    def _abort(self) -> KafkaError | None:
        """Best effort: the next producer's `init_transactions` aborts what is left. Gives what went wrong."""
        try:
            self._producer.abort_transaction(_ABORT_S)
        except KafkaException as error:
            _log.debug("abort failed", action="abort_failed", reason=str(error))
            cause: KafkaError = error.args[0]
            return cause
        return None

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        # librdkafka's own errors after a purge say nothing; the first real one does.
        if error is not None and self._undelivered is None:
            self._undelivered = error
            self._undelivered_to = f"topic {message.topic()} on "

    def close(self) -> None:
        """Forget everything that is not committed; never waits long."""
        if self._opened is not None:
            self._abort()  # until then nobody reads what others commit after it
        try:
            self._producer.purge()
            self._producer.flush(_CLOSE_S)
        except (KafkaException, SystemError) as error:
            # A fatal error is raised again by every call; it has been dealt with where it came first. confluent-kafka
            # 2.16 can lose that exception on the way: "flush returned NULL without setting an exception".
            _log.debug("close failed", action="close_failed", reason=str(error))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _room(batch: Batch) -> int:
    """How many of such records may be on their way."""
    average = batch.size_bytes // max(1, len(batch.records)) + 1
    return max(1, min(_QUEUE - LONGEST, _IN_FLIGHT_BYTES // average))
