"""Finds the records of transactions that Kafka has not ended, and reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException, Message

from cdc.last_seq import records_from
from cdc.offsets import END, offsets
from cdc.source.seam import Record
from ops.kafka import consumer, translate
from ops.settings import KafkaSettings
from schemas.errors import FormatError
from schemas.record import read


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


def hanging(settings: KafkaSettings, source: str, parts: Sequence[tuple[str, int]]) -> list[Place]:
    """Those of the partitions that hold records without an end. Raises `UnreachableError`."""
    # In this order: what ends in between does not hang.
    ends, stable = (_ends(settings, source, parts, level) for level in ("read_uncommitted", "read_committed"))
    return [
        Place(topic=topic, partition=number, start=stable[topic, number])
        for (topic, number), end in ends.items()
        if stable[topic, number] < end
    ]


def _ends(
    settings: KafkaSettings, source: str, parts: Sequence[tuple[str, int]], level: str
) -> dict[tuple[str, int], int]:
    with closing(consumer(settings, f"{source}-hanging", isolation_level=level)) as client:
        return offsets(client, parts, END, settings.bootstrap_servers)


def raw(settings: KafkaSettings, source: str, place: Place) -> Iterator[Record]:
    """The records from there to the end, in order. Raises `TidemarkError`."""
    where = settings.bootstrap_servers
    with closing(
        consumer(settings, f"{source}-hanging", isolation_level="read_uncommitted", enable_partition_eof=True)
    ) as client:
        try:
            for message in records_from(client, {(place.topic, place.partition): place.start}, where):
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
