"""The highest seq that a source's topics hold, so that a new epoch starts above it."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from ops.kafka import consumer, translate
from ops.log import logger
from ops.settings import Settings
from schemas.errors import FormatError, UnreachableError
from schemas.record import read

_log = logger(__name__)

_TIMEOUT_S = 30
_META_TIMEOUT_S = 10


def highest_seq(settings: Settings, topics: Mapping[str, int], *, own: Collection[str]) -> int:
    """The highest seq among the last committed records of every partition; 0 if there is none.

    `topics`: topic -> partitions. Raises `UnreachableError`, and `FormatError` for a foreign record in one of `own`;
    any other topic that holds some is somebody else's.
    """
    where = settings.kafka.bootstrap_servers
    client = consumer(settings.kafka, f"{settings.source.name}-last-seq", enable_partition_eof=True)
    try:
        parts = [TopicPartition(name, number) for name, count in topics.items() for number in range(count)]
        return max((_last_seq(client, part, where, strict=part.topic in own) for part in parts), default=0)
    except KafkaException as error:
        raise translate(error, where) from error
    finally:
        client.close()


def _last_seq(client: Consumer, part: TopicPartition, where: str, *, strict: bool) -> int:
    low, high = client.get_watermark_offsets(part, timeout=_META_TIMEOUT_S)
    back = 16  # the last offsets are the markers of transactions, which nobody is shown
    while high > low:
        first = max(low, high - back)
        seqs = [_seq(message, strict=strict) for message in records_from(client, part, first, where)]
        if seqs:
            return max(seqs)
        if first == low:
            break
        back *= 16
    return 0


def _seq(message: Message, *, strict: bool) -> int:
    headers: Any = message.headers()
    try:
        return read(message.key(), message.value(), headers).seq
    except FormatError as error:
        error.where = f"topic {message.topic()}, partition {message.partition()}, offset {message.offset()}"
        if strict:
            raise
        _log.warning(
            f"topic {message.topic()} is named like one of ours, and is not: {error}",
            action="foreign_topic",
            topic=message.topic(),
        )
        return 0


def records_from(client: Consumer, part: TopicPartition, first: int, where: str) -> Iterable[Message]:
    """A partition's records from an offset to its end now, which the client has to be told of."""
    client.assign([TopicPartition(part.topic, part.partition, first)])
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        message = client.poll(0.5)
        if message is None:
            if time.monotonic() > deadline:
                raise UnreachableError(f"topic {part.topic} could not be read to its end", where=where)
        elif (error := message.error()) is None:
            yield message
        elif error.code() == error._PARTITION_EOF:  # noqa: SLF001  librdkafka's local errors begin with an underscore
            return
        else:
            raise translate(error, where)
