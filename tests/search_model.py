"""A model of both sides of the audit's search: what is expected and what is there, in the order of each axis."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from auditor.elastic_side import FILTERS_A_REQUEST, RANGES_A_REQUEST
from auditor.search import KEY, OFFSET, Axis, Limits, Range, Total, search


class Doc(NamedTuple):
    key: str
    offset: int
    fp: int


def edge(axis: Axis, doc: Doc) -> int | bytes:
    return doc.offset if axis == OFFSET else doc.key.encode()


class Model:
    """One partition, whose ranks begin at `first`. `rounds`: axis and ranges of each."""

    def __init__(self, expected: Sequence[Doc], indexed: Sequence[Doc], *, partition: int = 0, first: int = 0) -> None:
        self.wanted = {axis: sorted(expected, key=lambda doc: edge(axis, doc)) for axis in (OFFSET, KEY)}
        self.there = {axis: sorted(indexed, key=lambda doc: edge(axis, doc)) for axis in (OFFSET, KEY)}
        self.edges = {axis: [edge(axis, doc) for doc in docs] for axis, docs in self.there.items()}
        self.root = Range(partition, first, first + len(expected))
        self.rounds: list[tuple[Axis, int]] = []

    def expected(self, axis: Axis, ranges: Sequence[Range]) -> list[Total]:
        return [total(self.mine(axis, part)) for part in ranges]

    def indexed(self, axis: Axis, ranges: Sequence[Range]) -> list[Total]:
        self.rounds.append((axis, len(ranges)))
        return [total(self.inside(axis, part)) for part in ranges]

    def mine(self, axis: Axis, part: Range) -> list[Doc]:
        return self.wanted[axis][part.low - self.root.low : part.high - self.root.low]

    def inside(self, axis: Axis, part: Range) -> list[Doc]:
        def at(rank: int) -> int:
            wanted = self.wanted[axis][rank - self.root.low]
            return bisect_left(self.edges[axis], edge(axis, wanted))  # type: ignore[arg-type,type-var]

        low = 0 if part.low == self.root.low else at(part.low)
        return self.there[axis][low : len(self.there[axis]) if part.high == self.root.high else at(part.high)]

    def differing(self, limits: Limits) -> set[str]:
        """What listing the dirty ranges shows."""
        found: set[str] = set()
        for dirty in search(self, [self.root], limits):
            docs = self.inside(dirty.axis, dirty.range)
            assert dirty.empty == (not docs)
            wrong = set(self.mine(dirty.axis, dirty.range)) ^ set(docs)
            assert wrong or dirty.scan, "a range was called dirty for nothing"
            found |= {doc.key for doc in wrong}
        return found

    def brute(self) -> set[str]:
        return {doc.key for doc in set(self.wanted[KEY]) ^ set(self.there[KEY])}

    @property
    def requests(self) -> int:
        most = {OFFSET: RANGES_A_REQUEST, KEY: FILTERS_A_REQUEST}
        return sum(-(-ranges // most[axis]) for axis, ranges in self.rounds)


def total(docs: Sequence[Doc]) -> Total:
    return Total(len(docs), sum(doc.fp for doc in docs))
