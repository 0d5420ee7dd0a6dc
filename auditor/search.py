"""The search: which ranges of keys differ, found by comparing counts and fp sums of ever smaller ranges. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

FAN_OUT = 64
EXACT_KEYS = 1 << 27  # a sum of more 26-bit fps than this is not exact in a double


class Range(NamedTuple):
    """Expected keys of one partition by rank, `[low, high)`; the first and last range of a partition are open."""

    partition: int
    low: int
    high: int

    @property
    def size(self) -> int:
        return self.high - self.low


class Total(NamedTuple):
    """How many documents, and the sum of their fps."""

    docs: int
    fp: int


class Dirty(NamedTuple):
    """A range that differs and is not split further. `empty`: the index holds nothing of it."""

    range: Range
    empty: bool


class Sides(Protocol):
    """What is compared."""

    def expected(self, ranges: Sequence[Range]) -> Sequence[Total]:
        """What the topic says, one total a range."""

    def indexed(self, ranges: Sequence[Range]) -> Sequence[Total]:
        """What the index holds, one total a range."""


def search(
    sides: Sides, roots: Iterable[Range], *, leaf_keys: int = FAN_OUT, fan_out: int = FAN_OUT
) -> Iterator[Dirty]:
    """Breadth first, one call of each side a level, down to ranges of `leaf_keys` expected keys."""
    level = [piece for root in roots for piece in _pieces(root, EXACT_KEYS)]
    while level:
        deeper: list[Range] = []
        for part, expected, indexed in zip(level, sides.expected(level), sides.indexed(level), strict=True):
            if expected == indexed:
                continue
            if indexed.docs == 0 or part.size <= leaf_keys:
                yield Dirty(part, indexed.docs == 0)
            else:
                deeper += _pieces(part, max(leaf_keys, -(-part.size // fan_out)))
        level = deeper


def _pieces(part: Range, size: int) -> list[Range]:
    """Ranges of at most `size` keys that cover this one; an empty range stays one."""
    starts = range(part.low, part.high, size) or (part.low,)
    return [Range(part.partition, start, min(start + size, part.high)) for start in starts]
