"""How far a sink has to get, and whether it is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from auditor.run_context import Context
from auditor.topic import Topic
from schemas.watermark import Watermark


class Ends:
    """The ends of one topic's partitions, as a consumer of committed records is told them."""

    def __init__(self, context: Context, topic: str) -> None:
        self._topic = Topic(context, topic)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._topic.close()

    def now(self) -> dict[int, Watermark]:
        """Partition -> from the log's start to its last stable offset."""
        return {number: self._topic.watermark(number) for number in self._topic.partitions()}

    def is_empty(self, partition: int, low: int, high: int) -> bool:
        """True if no record lies between, but transactions' markers and what was aborted.

        A sink that has read nothing does not know that it is past these.
        """
        return not any(self._topic.messages([Watermark(partition=partition, low=low, high=high)]))


def behind(settled: Mapping[int, int], ends: Mapping[int, Watermark]) -> dict[int, int]:
    """Partition -> settled offset, where that is below the end; -1 where nothing is known."""
    return {number: settled.get(number, -1) for number, end in ends.items() if settled.get(number, -1) < end.high}


def done(settled: Mapping[int, int], ends: Mapping[int, Watermark]) -> tuple[int, int]:
    """How many offsets are done, of how many."""
    total = sum(end.high - end.low for end in ends.values())
    reached = sum(min(max(settled.get(number, 0) - end.low, 0), end.high - end.low) for number, end in ends.items())
    return reached, total
