"""Reads parts of a table's topic: committed records between two offsets of each partition."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from auditor.columns import Columns
from auditor.decode import operation, place
from auditor.op import Op
from auditor.run_context import Context
from auditor.skim import Skim
from ops.kafka import consumer, translate
from schemas.errors import PartialAnswerError, TidemarkError, UnreachableError
from schemas.shape import PLAIN, Shape
from schemas.watermark import Watermark

_META_TIMEOUT_S = 15
_SILENCE_S = 60
_BATCH = 4000


class Topic:
    """One topic and one consumer. Not for several threads at once."""

    def __init__(self, context: Context, name: str, shape: Shape = PLAIN) -> None:
        self.name = name
        self.events = 0
        self.shape = shape
        self._context = context
        self._where = f"topic {name} on {context.settings.kafka.bootstrap_servers}"
        self._consumer: Consumer = consumer(
            context.settings.kafka,
            context.client_id,
            enable_partition_eof=True,
            queued_max_messages_kbytes=8192,
            # Of each partition in one answer, which is unpacked as a whole; larger records come all the same.
            fetch_message_max_bytes=1 << 18,
            fetch_queue_backoff_ms=10,  # how long a partition rests when so much is queued; a second by default
        )

    def partitions(self) -> list[int]:
        """The topic's partitions; none if it does not exist."""
        try:
            found = self._consumer.list_topics(self.name, timeout=_META_TIMEOUT_S).topics[self.name]
        except KafkaException as error:
            raise translate(error, self._where) from error
        if found.error is not None and found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return []
        if found.error is not None:
            raise translate(found.error, self._where)
        return sorted(found.partitions)

    def watermark(self, partition: int) -> Watermark:
        """Log start and last stable offset, as they are now."""
        # A read-committed consumer is told the last stable offset; AdminClient.list_offsets tells more.
        try:
            low, high = self._consumer.get_watermark_offsets(
                TopicPartition(self.name, partition), timeout=_META_TIMEOUT_S
            )
        except KafkaException as error:
            raise translate(error, self._where) from error
        return Watermark(partition=partition, low=low, high=high)

    def ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """Partition -> last stable offset, as it is now: nobody who reads committed records has seen one past it."""
        return {partition: self.watermark(partition).high for partition in partitions}

    def at(self, ts_ms: int) -> dict[int, int]:
        """Partition -> offset of its first record that was published then or later; its end if there is none."""
        wanted = [TopicPartition(self.name, partition, ts_ms) for partition in self.partitions()]
        try:
            found = self._consumer.offsets_for_times(wanted, timeout=_META_TIMEOUT_S) if wanted else []
        except KafkaException as error:
            raise translate(error, self._where) from error
        for part in found:
            if part.error is not None:
                raise translate(part.error, self._where)
        return {
            part.partition: part.offset if part.offset >= 0 else self.watermark(part.partition).high for part in found
        }

    def read(self, windows: Sequence[Watermark]) -> Iterator[list[Op]]:
        """Every committed record in the windows, in batches. Raises `PartialAnswerError` if the log was cut."""
        for batch in self.messages(windows):
            self.events += len(batch)
            yield [operation(message, self.shape) for message in batch]

    def columns(self, windows: Sequence[Watermark]) -> Iterator[Columns]:
        """The same records as columns, made of one batch while the next one is read."""
        skim = Skim(self.shape)
        with _rarely_collected(), ThreadPoolExecutor(1, "skim") as pool:
            ahead: Future[Columns] | None = None
            for batch in self.messages(windows):
                self.events += len(batch)
                before, ahead = ahead, pool.submit(skim.columns, batch)
                if before is not None:
                    yield before.result()
            if ahead is not None:
                yield ahead.result()

    def messages(self, windows: Sequence[Watermark]) -> Iterator[list[Message]]:
        """The records of the windows as they are."""
        open_ = {window.partition: window for window in windows if not window.empty}
        if not open_:
            return
        self._consumer.assign([TopicPartition(self.name, part, window.low) for part, window in open_.items()])
        try:
            yield from self._poll(open_)
        except KafkaException as error:
            raise translate(error, self._where) from error
        finally:
            self._consumer.unassign()

    def _poll(self, open_: dict[int, Watermark]) -> Iterator[list[Message]]:
        heard = time.monotonic()
        while open_:
            self._context.pulse()
            # `consume` waits until it has as many as it was asked for.
            first = self._consumer.poll(0.5)
            if first is None:
                if time.monotonic() - heard > _SILENCE_S:
                    raise UnreachableError(f"topic {self.name} sends nothing for {_SILENCE_S} s", where=self._where)
                continue
            heard = time.monotonic()
            batch = [first, *self._consumer.consume(_BATCH, 0)]
            wanted = batch if _within(batch, open_) else [one for one in batch if self._wanted(one, open_)]
            if wanted:
                yield wanted

    def _wanted(self, message: Message, open_: dict[int, Watermark]) -> bool:
        partition, offset = place(message)
        window = open_.get(partition)
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001  librdkafka's local error
            raise self._failure(error)
        if window is None:
            return False
        # The end may be nothing but transaction markers, which are never delivered: then the end of the partition
        # is reported, at an offset that is past them.
        if offset >= window.high or (error is None and offset + 1 >= window.high):
            del open_[partition]
            # Not pause(): a partition stays paused when it is assigned again.
            self._consumer.incremental_unassign([TopicPartition(self.name, partition)])
        return error is None and offset in window

    def _failure(self, error: KafkaError) -> TidemarkError:
        gone = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError.UNKNOWN_TOPIC_OR_PART)  # noqa: SLF001
        if error.code() in gone:
            return PartialAnswerError(
                f"records of topic {self.name} were deleted while they were being read: {error.str()}",
                where=self._where,
                hint="Run the audit again; if it comes again, look at the topic's retention.",
            )
        return translate(error, self._where)

    def close(self) -> None:
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def _rarely_collected() -> Iterator[None]:
    """Messages are in no cycles, but thousands of them are looked through for some, over and over."""
    before = gc.get_threshold()
    gc.set_threshold(max(_BATCH * 20, before[0]), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _within(batch: Sequence[Message], open_: Mapping[int, Watermark]) -> bool:
    """True if all of them are records of the windows, and none is the last of its window."""
    if any([message.error() for message in batch]):  # noqa: C419  a list is twice as fast
        return False
    places = [(message.partition(), message.offset()) for message in batch]
    highest: dict[int, int] = dict(places)  # type: ignore[arg-type]  # of a message that was received they are known
    lowest: dict[int, int] = dict(reversed(places))  # type: ignore[arg-type]
    return all(
        part in open_ and open_[part].low <= lowest[part] and highest[part] + 1 < open_[part].high for part in highest
    )
