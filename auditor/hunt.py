"""Searches one index for what differs, and hands over whatever may be wrong."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from auditor import leaf
from auditor import search as pure
from auditor.elastic_side import ElasticSide
from auditor.expected import Expected
from auditor.requests import Requests
from auditor.search import Dirty, Limits, Range, Total
from auditor.suspects import Suspects
from schemas.cost import Level
from schemas.errors import InconclusiveError

_RANGES_A_LIST = 512  # a query's clauses are limited
_KEYS_A_LIST = 8192
_EMPTY_AT_ONCE = 5000
_ID_BATCH = 5000
_GONE_A_REQUEST = 1000


class Hunt:
    """Topic and index, as the search asks for them. `levels`: what each round was; the last one, what was listed."""

    def __init__(self, expected: Expected, side: ElasticSide, requests: Requests, suspects: Suspects) -> None:
        self._axes = {pure.OFFSET: expected.by_offset, pure.KEY: expected.by_key}
        self._roots = expected.roots
        self._side = side
        self._requests = requests
        self._suspects = suspects
        self._wanted: Sequence[Total] = ()
        self._listed: Level | None = None
        self._rounds: list[Level] = []

    @property
    def levels(self) -> list[Level]:
        return [*self._rounds, *([self._listed] if self._listed else [])]

    def expected(self, axis: pure.Axis, ranges: Sequence[Range]) -> Sequence[Total]:
        self._wanted = self._axes[axis].totals(ranges)
        return self._wanted

    def indexed(self, axis: pure.Axis, ranges: Sequence[Range]) -> Sequence[Total]:
        started, asked = time.monotonic(), self._requests.count
        found = self._side.totals(self._axes[axis].bounds(ranges), [part.size for part in ranges])
        level = Level(
            axis=axis,
            ranges=len(ranges),
            dirty=sum(one != other for one, other in zip(self._wanted, found, strict=True)),
            keys=sum(part.size for part in ranges),
            requests=self._requests.count - asked,
            seconds=round(time.monotonic() - started, 3),
        )
        self._rounds.append(level)
        return found

    def run(self, limits: Limits) -> None:
        """Every document that the sums say may be wrong becomes a suspect."""
        empty: dict[pure.Axis, list[Range]] = {pure.OFFSET: [], pure.KEY: []}
        small: list[Dirty] = []
        keys = 0
        for dirty in pure.search(self, self._roots, limits):
            if dirty.empty:
                empty[dirty.axis].append(dirty.range)
                if len(empty[dirty.axis]) == _EMPTY_AT_ONCE:
                    self._suspects.add_ranges(self._axes[dirty.axis], empty[dirty.axis])
                    empty[dirty.axis] = []
                continue
            if small and (len(small) == _RANGES_A_LIST or keys + dirty.range.size > _KEYS_A_LIST):
                self._list(small)
                small, keys = [], 0
            small.append(dirty)
            keys += dirty.range.size
        if small:
            self._list(small)
        for axis, ranges in empty.items():
            if ranges:
                self._suspects.add_ranges(self._axes[axis], ranges)

    def _list(self, leaves: Sequence[Dirty]) -> None:
        started, asked = time.monotonic(), self._requests.count
        axis, ranges = self._axes[leaves[0].axis], [dirty.range for dirty in leaves]
        docs = self._side.listed(axis.bounds(ranges))
        if not self.add(leaf.differing(axis.places(ranges), docs)) and not leaves[0].scan:
            raise InconclusiveError("ranges whose sums differ hold exactly the documents that they should")
        before = self._listed or Level(axis="scan", ranges=0, dirty=0, keys=0, requests=0, seconds=0)
        self._listed = Level(
            axis="scan",
            ranges=before.ranges + len(ranges),
            dirty=before.dirty + len(ranges),
            keys=before.keys + sum(part.size for part in ranges),
            requests=before.requests + self._requests.count - asked,
            seconds=round(before.seconds + time.monotonic() - started, 3),
        )

    def strays(self, expected: Expected, *, complete: bool, foreign: bool, routed: bool) -> None:
        """What lies in no range: documents from before the window, of deleted keys or swept; foreign ones, later ones.

        `routed`: look at documents with a routing, too, which may be on another shard than the sink's.
        """
        side = self._side
        if not complete:
            for keys in expected.gone(_GONE_A_REQUEST):
                self.add(doc.id for doc in side.with_keys(keys))
        if side.swept_count:
            self.add(doc.id for doc in side.swept())
        if side.foreign_count and foreign:
            self.add(doc.id for doc in side.foreign())
        if side.routed_count and routed:
            self.add(doc.id for doc in side.routed())
        if side.beyond_count:
            self.add(doc.id for doc in side.beyond())

    def add(self, ids: Iterable[str]) -> int:
        """Hand the ids over in batches; how many there were."""
        total = 0
        batch: list[str] = []
        for id_ in ids:
            batch.append(id_)
            total += 1
            if len(batch) == _ID_BATCH:
                self._suspects.add(batch)
                batch = []
        self._suspects.add(batch)
        return total
