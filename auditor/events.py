"""Single events out of a topic, by partition and offset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any, NamedTuple

from auditor.decode import place
from auditor.topic import Topic
from schemas.watermark import Watermark

_NEAR = 500  # offsets nearer than this are read through: cheaper than another fetch


class Event(NamedTuple):
    """The envelope of the record at a place."""

    partition: int
    offset: int
    envelope: dict[str, Any]


def events(topic: Topic, places: Iterable[tuple[int, int]]) -> Iterator[Event]:
    """The events at these (partition, offset), in any order; one that compaction has removed is absent."""
    wanted = set(places)
    runs: dict[int, list[Watermark]] = {}
    for partition, offset in sorted(wanted):
        known = runs.setdefault(partition, [])
        if known and offset - known[-1].high < _NEAR:
            known[-1] = Watermark(partition=partition, low=known[-1].low, high=offset + 1)
        else:
            known.append(Watermark(partition=partition, low=offset, high=offset + 1))
    for windows in zip_longest(*runs.values()):
        for batch in topic.messages([window for window in windows if window is not None]):
            for message in batch:
                at, value = place(message), message.value()
                if at in wanted and value is not None:
                    event = topic.shape.read(message.key(), value, None, at[1]).event
                    if event is not None:
                        yield Event(*at, event)
