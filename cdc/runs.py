"""How records become produce calls: long runs for one topic go in one call, in order within every partition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from cdc.source.seam import Record

LONGEST = 10_000  # messages a call: well below what librdkafka's queue takes


class Run(NamedTuple):
    """Messages of one topic without headers, as `produce_batch` takes them."""

    topic: str
    messages: list[dict[str, Any]]


def runs(records: Iterable[Record]) -> Iterator[Run | Record]:
    """Runs, and between them the records with headers, which `produce_batch` would drop without a word.

    Topics may overtake one another, records of one topic do not.
    """
    waiting: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        topic, partition, key, value, headers = record
        messages = waiting.setdefault(topic, [])
        if headers or len(messages) >= LONGEST:
            if messages:
                yield Run(topic, messages)
            messages = waiting[topic] = []
        if headers:
            yield record
        else:
            messages.append({"key": key, "value": value, "partition": partition})
    for topic, messages in waiting.items():
        if messages:
            yield Run(topic, messages)
