"""The highest seq that a source's topics hold, so that a new epoch starts above it."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from cdc.offsets import BEGINNING, END, offsets
from ops.kafka import consumer, translate
from ops.log import logger
from ops.settings import Settings
from schemas.errors import FormatError, UnreachableError
from schemas.record import read

_log = logger(__name__)

_TIMEOUT_S = 30
_FETCH_WAIT_MS = 10
_BACK = 16  # the last offsets are the markers of transactions, which nobody is shown
_Part = tuple[str, int]  # topic and partition


def highest_seq(settings: Settings, topics: Mapping[str, int], *, own: Collection[str], back: int = _BACK) -> int:
    """The highest seq among the last committed records of every partition; 0 if there is none.

    `topics`: topic -> partitions. `back`: how many offsets to look back at first. Raises `UnreachableError`, and
    `FormatError` for a foreign record in one of `own`; any other topic that holds some is somebody else's.
    """
    where = settings.kafka.bootstrap_servers
    client = consumer(
        settings.kafka,
        f"{settings.source.name}-last-seq",
        enable_partition_eof=True,
        fetch_wait_max_ms=_FETCH_WAIT_MS,  # how long the broker holds back that there is no more
    )
    try:
        parts = [(name, number) for name, count in topics.items() for number in range(count)]
        return _highest(client, parts, where, own, back)
    except KafkaException as error:
        raise translate(error, where) from error
    finally:
        client.close()


def _highest(client: Consumer, parts: Sequence[_Part], where: str, own: Collection[str], back: int) -> int:
    lows, highs = (offsets(client, parts, which, where) for which in (BEGINNING, END))
    highest = 0
    parts = [part for part in parts if lows[part] < highs[part]]
    while parts:
        starts = {part: max(lows[part], highs[part] - back) for part in parts}
        found = _seqs(client, starts, where, own)
        highest = max(highest, *found.values(), 0)
        parts = [part for part in parts if part not in found and starts[part] > lows[part]]
        back *= _BACK
    return highest


def _seqs(client: Consumer, starts: Mapping[_Part, int], where: str, own: Collection[str]) -> dict[_Part, int]:
    """The highest seq of each partition that shows a record from there to its end."""
    found: dict[_Part, int] = {}
    for message in records_from(client, starts, where):
        part = _part(message)
        found[part] = max(found.get(part, 0), _seq(message, strict=part[0] in own))
    return found


def _part(message: Message) -> _Part:
    return message.topic() or "", message.partition() or 0


def _seq(message: Message, *, strict: bool) -> int:
    headers: Any = message.headers()
    try:
        return read(message.key(), message.value(), headers).seq
    except FormatError as error:
        error.where = f"topic {message.topic()}, partition {message.partition()}, offset {message.offset()}"
        if strict:
            raise
        _log.warning(
            f"topic {message.topic()} holds what cdc did not write: {error}",
            action="foreign_topic",
            topic=message.topic(),
        )
        return 0


def records_from(client: Consumer, starts: Mapping[_Part, int], where: str) -> Iterator[Message]:
    """The records of partitions from an offset to the end now, which the client has to be told of.

    Raises `UnreachableError` if nothing more comes.
    """
    client.assign([TopicPartition(*part, offset) for part, offset in starts.items()])
    left = set(starts)
    deadline = time.monotonic() + _TIMEOUT_S
    while left:
        message = client.poll(0.5)
        if message is None:
            if time.monotonic() > deadline:
                raise UnreachableError(f"topic {min(left)[0]} could not be read to its end", where=where)
            continue
        deadline = time.monotonic() + _TIMEOUT_S
        error = message.error()
        if error is None:
            yield message
        elif error.code() == error._PARTITION_EOF:  # noqa: SLF001  librdkafka's local errors begin with an underscore
            left.discard(_part(message))
        else:
            raise translate(error, where)
