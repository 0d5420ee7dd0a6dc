"""The expected keys in order along one axis, as ranks with prefix sums, so that any range's total costs a look-up.

Along offsets a lost request is a run, and Elasticsearch sums thousands of ranges of numbers in one pass. Along keys lie
the faults of whoever deletes a range of keys. An order is made when it is first needed: a clean audit needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from auditor.search import KEY, OFFSET, Range, Total
from auditor.search import Axis as Name
from auditor.store import Store

# Tables of their own, so that DuckDB knows how few they are, and keeps them in memory rather than the keys beside them.
_CHOSEN = """
CREATE OR REPLACE TABLE chosen AS SELECT unnest(range(low, high)) AS rank
FROM (SELECT unnest($1::BIGINT[]) AS low, unnest($2::BIGINT[]) AS high)
"""
_PLACED = """
CREATE OR REPLACE TABLE chosen AS SELECT partition, "offset" FROM by_offset JOIN chosen USING (rank)
"""
_BY_OFFSET = """
CREATE TABLE by_offset AS
SELECT row_number() OVER () - 1 AS rank, *, (sum(fp) OVER (ROWS UNBOUNDED PRECEDING))::BIGINT AS total
FROM (SELECT partition, "offset", fp FROM live ORDER BY partition, "offset")
"""


class Bounds(NamedTuple):
    """A range as Elasticsearch is asked for it: `[low, high)` of a partition along an axis, None where it is open."""

    partition: int
    low: str | int | None
    high: str | int | None
    axis: Name = KEY


class Place(NamedTuple):
    """Where the document of a key should come from."""

    offset: int
    fp: int


class Axis:
    """One order of the keys."""

    def __init__(self, store: Store, name: Name, roots: Mapping[Range, Total], make: Callable[[], object]) -> None:
        self.name = name
        self._rows = (
            "by_key JOIN chosen USING (rank)" if name == KEY else 'live JOIN chosen USING (partition, "offset")'
        )
        self._store = store
        self._make: Callable[[], object] | None = make
        self._roots = {root.partition: root for root in roots}
        self._before: dict[int, int] = {}
        self._edges: dict[int, str | int] = {}
        total = 0
        for root, sums in roots.items():
            self._before[root.low] = total
            total += sums.fp
            self._before[root.high] = total
        self._fixed = frozenset(self._before)

    def totals(self, ranges: Sequence[Range]) -> list[Total]:
        self._look_up(ranges)
        return [Total(part.size, self._before[part.high] - self._before[part.low]) for part in ranges]

    def bounds(self, ranges: Sequence[Range]) -> list[Bounds]:
        """The outer ends of a partition are open, so that every document falls into one range."""
        self._look_up(ranges)
        made = []
        for part in ranges:
            root = self._roots[part.partition]
            low = None if part.low == root.low else self._edges[part.low]
            high = None if part.high == root.high else self._edges[part.high]
            made.append(Bounds(part.partition, low, high, self.name))
        return made

    def places(self, ranges: Sequence[Range]) -> dict[tuple[int, str], Place]:
        """(partition, key) -> where its document should come from, for small ranges."""
        self._choose(ranges)
        found = self._store.run(f'SELECT partition, key, "offset", fp FROM {self._rows}')  # noqa: S608  constants
        return {(partition, key.decode()): Place(offset, fp) for partition, key, offset, fp in found}

    def put_ids(self, table: str, ranges: Sequence[Range]) -> None:
        """Append the document ids of all keys in the ranges to a table."""
        self._choose(ranges)
        self._store.run(f"INSERT INTO {table} SELECT document_id(key) FROM {self._rows}")  # noqa: S608  constants

    def _choose(self, ranges: Sequence[Range]) -> None:
        self.ready()
        self._store.run(_CHOSEN, [[part.low for part in ranges], [part.high for part in ranges]])
        if self.name == OFFSET:
            self._store.run(_PLACED)

    def ready(self) -> None:
        """Sort, unless that was done."""
        if self._make is not None:
            self._make()
            self._make = None

    def _look_up(self, ranges: Sequence[Range]) -> None:
        """Edges and sums at the ranges' ends; what is known from the level before is forgotten."""
        ranks = {rank for part in ranges for rank in (part.low, part.high)}
        wanted = ranks - self._fixed
        if wanted <= self._edges.keys():
            return
        self.ready()
        edge = "key" if self.name == KEY else '"offset"'
        found = self._store.run(
            f"SELECT rank, {edge}, total - fp FROM by_{self.name} "  # noqa: S608  constants
            "WHERE rank IN (SELECT unnest($1::BIGINT[]))",
            [sorted(wanted)],
        )
        self._edges = {rank: at.decode() if self.name == KEY else at for rank, at, _ in found}
        self._before = {rank: self._before[rank] for rank in self._fixed} | {rank: sums for rank, _, sums in found}


def by_offset(store: Store, roots: Mapping[Range, Total]) -> Axis:
    return Axis(store, OFFSET, roots, lambda: store.run(_BY_OFFSET))
