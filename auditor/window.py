"""The watermarks of an audit: from the log's start to the last stable offset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from auditor.topic import Topic
from schemas.watermark import Watermark


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """`[low, high)` of the partitions of one topic that are audited; `count`: how many it has."""

    parts: tuple[Watermark, ...]
    count: int

    @property
    def complete(self) -> bool:
        """True if the topic vouches for every document, however old."""
        return all(window.low == 0 for window in self.parts)

    def lower(self, partition: int) -> int | None:
        """The offset below which the topic cannot judge a document; None if it has all it ever had.

        Compaction keeps the log's start at 0. A higher one means that records were deleted, last operations of keys
        among them, so that documents older than it prove nothing.
        """
        low = self._of(partition).low
        return low or None

    def high(self, partition: int) -> int:
        return self._of(partition).high

    def _of(self, partition: int) -> Watermark:
        return next(window for window in self.parts if window.partition == partition)

    @property
    def lowers(self) -> dict[int, int]:
        """Partition -> `lower`, where there is one."""
        return {window.partition: window.low for window in self.parts if window.low}

    @property
    def highs(self) -> dict[int, int]:
        return {window.partition: window.high for window in self.parts}

    def until(self, offsets: Mapping[int, int]) -> Windows:
        """The same windows, as far as these offsets (partition -> offset) if that is further."""
        parts = [replace(part, high=max(part.high, offsets.get(part.partition, 0))) for part in self.parts]
        return replace(self, parts=tuple(parts))

    @property
    def others(self) -> frozenset[int]:
        """The topic's partitions that somebody else audits."""
        return frozenset(range(self.count)) - set(self.partitions)

    @property
    def partitions(self) -> tuple[int, ...]:
        return tuple(window.partition for window in self.parts)


def windows(topic: Topic, only: frozenset[int] | None = None, begin: Mapping[int, int] | None = None) -> Windows:
    """All that is retained and committed now, of all partitions or of some; a count of 0 if there is no topic.

    `begin`: partition -> offset to begin at, if it is retained.
    """
    there = topic.partitions()
    audited = [partition for partition in there if only is None or partition in only]
    parts = [_later(topic.watermark(partition), (begin or {}).get(partition, 0)) for partition in audited]
    return Windows(parts=tuple(parts), count=len(there))


def _later(part: Watermark, low: int) -> Watermark:
    return replace(part, low=min(max(part.low, low), max(part.low, part.high)))
