"""Finds the records of transactions that Kafka has not ended, and reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from confluent_kafka import IsolationLevel, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from cdc.last_seq import records_from
from cdc.source.seam import Record
from ops.kafka import answer, consumer, translate
from ops.settings import KafkaSettings
from schemas.errors import FormatError
from schemas.record import read

_TIMEOUT_S = 10
_LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where records hang. `start`: the offset of the first one, which is the last stable offset."""

    topic: str
    partition: int
    start: int

    def __str__(self) -> str:
        return f"topic {self.topic}, partition {self.partition}, offset {self.start}"

    @property
    def options(self) -> str:
        """What Kafka's commands call the partition."""
        return f"--topic {self.topic} --partition {self.partition}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What hangs in a partition. `seqs`: the lowest and highest seq of a table's records; None if they are not ours."""

    place: Place
    last: Record | None
    seqs: tuple[int, int] | None = None


def hanging(client: AdminClient, parts: Iterable[tuple[str, int]], where: str) -> list[Place]:
    """Those of the partitions that hold records without an end. Raises `UnreachableError`."""
    wanted = [TopicPartition(topic, number) for topic, number in parts]
    # In this order: what ends in between does not hang.
    ends = _ends(client, wanted, IsolationLevel.READ_UNCOMMITTED, where)
    stable = _ends(client, wanted, IsolationLevel.READ_COMMITTED, where)
    return [
        Place(topic=topic, partition=number, start=stable[topic, number])
        for (topic, number), end in ends.items()
        if stable[topic, number] < end
    ]


def _ends(
    client: AdminClient, parts: Sequence[TopicPartition], level: IsolationLevel, where: str
) -> dict[tuple[str, int], int]:
    wanted = {TopicPartition(part.topic, part.partition): _LATEST for part in parts}
    if not wanted:
        return {}
    futures = client.list_offsets(wanted, isolation_level=level, request_timeout=_TIMEOUT_S)
    return {(part.topic, part.partition): answer(future, _TIMEOUT_S, where).offset for part, future in futures.items()}


def raw(settings: KafkaSettings, source: str, place: Place) -> Iterator[Record]:
    """The records from there to the end, in order. Raises `TidemarkError`."""
    where = settings.bootstrap_servers
    with closing(
        consumer(settings, f"{source}-hanging", isolation_level="read_uncommitted", enable_partition_eof=True)
    ) as client:
        try:
            part = TopicPartition(place.topic, place.partition)
            for message in records_from(client, part, place.start, where):
                yield _record(place, message)
        except KafkaException as error:
            raise translate(error, where) from error


def _record(place: Place, message: Message) -> Record:
    headers: Any = message.headers() or ()
    return Record(place.topic, place.partition, message.key() or b"", message.value(), tuple(headers))


def changes(place: Place, records: Iterable[Record], source: str) -> Held:
    """What hangs in a partition of a table's topic."""
    seqs: list[int] = []
    last = None
    for last in records:
        try:
            found = read(last.key, last.value, last.headers)
        except FormatError:
            return Held(place=place, last=last)
        if found.event is not None and found.event["source"].get("name") != source:
            return Held(place=place, last=last)
        seqs = [min([*seqs, found.seq]), max([*seqs, found.seq])]
    return Held(place=place, last=last, seqs=(seqs[0], seqs[1]) if seqs else None)
