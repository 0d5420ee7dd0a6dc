"""How records become produce calls: long runs for one partition go in one call, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from cdc.source.seam import Record

LONGEST = 10_000  # messages a call: well below what librdkafka's queue takes


class Run(NamedTuple):
    """Messages of one partition without headers, as `produce_batch` takes them."""

    topic: str
    partition: int
    messages: list[dict[str, Any]]


@runtime_checkable
class Encoded(Protocol):
    """Records of an engine that makes runs by itself, without an object for each record."""

    def topics(self) -> Mapping[str, int]:
        """Topic -> how many records that are no tombstones."""

    def runs(self, longest: int) -> Iterator[tuple[str, int, list[dict[str, Any]]] | Record]:
        """Topic, partition and messages, and between them records that go by themselves."""

    def release(self) -> None:
        """Give up the records' memory."""


def topics(records: Iterable[Record]) -> Mapping[str, int]:
    """Topic -> how many records that are no tombstones; topics with nothing but tombstones count 0."""
    if isinstance(records, Encoded):
        return records.topics()
    counts: Counter[str] = Counter()
    for record in records:
        counts[record.topic] += record.value is not None
    return counts


def release(records: Iterable[Record]) -> None:
    """The records were taken over by somebody else: give up their memory, where it is not Python's."""
    if isinstance(records, Encoded):
        records.release()


def runs(records: Iterable[Record]) -> Iterator[Run | Record]:
    """Runs, and between them the records with headers, which `produce_batch` would drop without a word.

    Partitions may overtake one another, records of one partition do not. `produce_batch` of 2.16 passes over a
    message's own `partition`, whatever its documentation says: all of a call go to the partition that the call names.
    """
    if isinstance(records, Encoded):
        yield from (item if isinstance(item, Record) else Run(*item) for item in records.runs(LONGEST))
        return
    waiting: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for record in records:
        topic, partition, key, value, headers = record
        messages = waiting.setdefault((topic, partition), [])
        if headers or len(messages) >= LONGEST:
            if messages:
                yield Run(topic, partition, messages)
            messages = waiting[topic, partition] = []
        if headers:
            yield record
        else:
            messages.append({"key": key, "value": value})
    for (topic, partition), messages in waiting.items():
        if messages:
            yield Run(topic, partition, messages)
