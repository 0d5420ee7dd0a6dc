"""The search: which ranges differ, found by comparing counts and fp sums of ever smaller ranges. Pure.

A lost request is a run of offsets, and a sum over thousands of ranges of offsets costs Elasticsearch one pass: so the
first look cuts the offsets into as many ranges as a request may have. Where what differs lies scattered along them, a
second look at ranges of keys tells whether it lies closer together there; where too much differs for any search, the
documents themselves are read beside the keys.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol

EXACT_KEYS = 1 << 27  # a sum of more 26-bit fps than this is not exact in a double

Axis = Literal["offset", "key"]
OFFSET: Axis = "offset"
KEY: Axis = "key"

_SCATTERED = 8  # the first look's dirty ranges hold more than this part of the keys
_CLOSER = 4  # ranges of keys are taken if their dirty ones hold so many times fewer
_SCAN_SHARE = 0.1  # from this share of differing keys on a search costs as much as reading all
_SCAN_KEYS = 8192
_LEAVES_LISTED = 64
_LEAST_SPLIT = 8
_REQUESTS_AT_ONCE = 8


class Limits(NamedTuple):
    """`leaf_keys`: ranges of so few are listed. `buckets`: ranges of offsets a request; `fan_out`: of keys a split."""

    leaf_keys: int = 64
    buckets: int = 10_000
    fan_out: int = 64

    @property
    def listed(self) -> int:
        """So few keys in all are listed at once rather than split again."""
        return self.leaf_keys * _LEAVES_LISTED


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
    """A range that is not split further. `empty`: the index holds nothing of it; `scan`: not all of it differs."""

    range: Range
    empty: bool
    axis: Axis = OFFSET
    scan: bool = False


class Sides(Protocol):
    """What is compared. Ranks are those of the axis; a whole partition is the same range along both."""

    def expected(self, axis: Axis, ranges: Sequence[Range]) -> Sequence[Total]:
        """What the topic says, one total a range."""

    def indexed(self, axis: Axis, ranges: Sequence[Range]) -> Sequence[Total]:
        """What the index holds, one total a range."""


_Level = Generator[Dirty, None, list[Range]]  # yields what is empty, returns what is to be split


def search(sides: Sides, roots: Iterable[Range], limits: Limits = Limits()) -> Iterator[Dirty]:  # noqa: B008  immutable
    """Breadth first: one call of each side a level."""
    whole = yield from _differing(sides, OFFSET, [piece for root in roots for piece in _pieces(root, EXACT_KEYS)])
    keys = _keys(whole)
    if keys <= limits.listed:
        yield from _leaves(whole, OFFSET)
        return
    size = -(-keys // limits.buckets)
    asked = _split(whole, size)
    dirty = yield from _differing(sides, OFFSET, asked)
    if _keys(dirty) * _SCATTERED > keys and size >= _LEAST_SPLIT:
        if _share(len(dirty), len(asked), size) > _SCAN_SHARE:
            yield from (leaf._replace(scan=True) for leaf in _leaves(_split(_joined(dirty), _SCAN_KEYS), OFFSET))
            return
        by_key = yield from _differing(sides, KEY, _fan_out(whole, limits))
        if _keys(by_key) * _CLOSER < _keys(dirty):
            yield from _along_keys(sides, by_key, limits)
            return
    yield from _along_offsets(sides, dirty, limits)


def _along_offsets(sides: Sides, dirty: list[Range], limits: Limits) -> Iterator[Dirty]:
    """As many ranges as a request may have, down to single keys, or until all that is left can be listed at once."""
    keys = _keys(dirty)
    if keys <= limits.listed:
        yield from _leaves(dirty, OFFSET)
        return
    yield from _leaves([part for part in dirty if part.size <= 1], OFFSET)
    wide = [part for part in dirty if part.size > 1]
    if not wide:
        return
    widest = max(part.size for part in wide)
    size = max(1, min(-(-keys // limits.buckets), -(-widest // _LEAST_SPLIT)))
    for batch in _batches(wide, size * limits.buckets * _REQUESTS_AT_ONCE):
        deeper = yield from _differing(sides, OFFSET, _split(batch, size))
        yield from _along_offsets(sides, deeper, limits)


def _along_keys(sides: Sides, dirty: list[Range], limits: Limits) -> Iterator[Dirty]:
    """Down to ranges of `leaf_keys`."""
    while dirty:
        yield from _leaves([part for part in dirty if part.size <= limits.leaf_keys], KEY)
        wide = [part for part in dirty if part.size > limits.leaf_keys]
        dirty = (yield from _differing(sides, KEY, _fan_out(wide, limits))) if wide else []


def _differing(sides: Sides, axis: Axis, ranges: list[Range]) -> _Level:
    deeper = []
    for part, expected, indexed in zip(ranges, sides.expected(axis, ranges), sides.indexed(axis, ranges), strict=True):
        if expected == indexed:
            continue
        if indexed.docs == 0:
            yield Dirty(part, empty=True, axis=axis)
        else:
            deeper.append(part)
    return deeper


def _leaves(ranges: Iterable[Range], axis: Axis) -> Iterator[Dirty]:
    return (Dirty(part, empty=False, axis=axis) for part in ranges)


def _keys(ranges: Iterable[Range]) -> int:
    return sum(part.size for part in ranges)


def _share(dirty: int, asked: int, size: int) -> float:
    """The share of keys that differ, if they lie as chance has it: (1 - share) ** size of the ranges are clean."""
    clean = max(asked - dirty, 0.5) / asked
    return float(1 - clean ** (1 / size))


def _fan_out(ranges: Iterable[Range], limits: Limits) -> list[Range]:
    return [piece for part in ranges for piece in _pieces(part, max(limits.leaf_keys, -(-part.size // limits.fan_out)))]


def _split(ranges: Iterable[Range], size: int) -> list[Range]:
    return [piece for part in ranges for piece in _pieces(part, size)]


def _pieces(part: Range, size: int) -> list[Range]:
    """Ranges of at most `size` keys that cover this one; an empty range stays one."""
    starts = range(part.low, part.high, size) or (part.low,)
    return [Range(part.partition, start, min(start + size, part.high)) for start in starts]


def _joined(ranges: Iterable[Range]) -> Iterator[Range]:
    """Neighbours as one."""
    last: Range | None = None
    for part in ranges:
        if last is not None and (last.partition, last.high) == (part.partition, part.low):
            last = Range(part.partition, last.low, part.high)
            continue
        if last is not None:
            yield last
        last = part
    if last is not None:
        yield last


def _batches(ranges: Iterable[Range], keys: int) -> Iterator[list[Range]]:
    """Of so many keys each, about."""
    batch: list[Range] = []
    size = 0
    for part in ranges:
        batch.append(part)
        size += part.size
        if size >= keys:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
