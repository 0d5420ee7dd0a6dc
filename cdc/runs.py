"""How records become produce calls: long runs for one partition go in one call, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from cdc.source.seam import Record

LONGEST = 10_000  # messages a call: well below what librdkafka's queue takes


class Run(NamedTuple):
    """Messages of one partition without headers, as `produce_batch` takes them."""

    topic: str
    partition: int
    messages: list[dict[str, Any]]


def runs(records: Iterable[Record]) -> Iterator[Run | Record]:
    """Runs, and between them the records with headers, which `produce_batch` would drop without a word.

    Partitions may overtake one another, records of one partition do not. `produce_batch` of 2.16 passes over a
    message's own `partition`, whatever its documentation says: all of a call go to the partition that the call names.
    """
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
