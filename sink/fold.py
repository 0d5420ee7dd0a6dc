"""Of several events of a key in one batch only the newest is sent; the others are kept, in case it is refused."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from schemas.deadletter import DeadLetter
from sink.action import Actions
from sink.part import Item, Part
from sink.share import Share


class Run:
    """The events of one key in a batch, and how far back we had to go.

    `left`: those that may still be sent, from the oldest to the newest; `letters`: those that were refused.
    """

    __slots__ = ("alias", "events", "left", "letters")

    def __init__(self, events: Sequence[Item]) -> None:
        self.alias = events[0].part.alias
        self.events = list(events)
        self.left = list(events)
        self.letters: list[DeadLetter] = []

    @property
    def current(self) -> Item:
        """The event to send."""
        return self.left[-1]

    @property
    def owned(self) -> bool:
        return self.events[0].part.owned

    def refuse(self, letter: DeadLetter) -> None:
        """The current event is poison: the one before it is sent instead, if there is one."""
        self.letters.append(letter)
        self.left.pop()


class Settled(NamedTuple):
    """What is done: the offsets of `sent` events and of the `overtaken` ones behind them."""

    part: Part
    offsets: list[int]
    sent: int
    overtaken: int
    newest_ms: int


class _Segment:
    """A batch's shares of one partition. `start`: of its lines in the batch's; `newest`: the places of what is sent.

    `unmade`, once `lines` was called: of some of these no document can be made.
    """

    def __init__(self, start: int, shares: Sequence[Share]) -> None:
        self.start = start
        self.part = shares[0].part
        self._shares = shares
        self._keys = [key for share in shares for key in share.keys]
        self._offsets = [offset for share in shares for offset in share.offsets]
        self._ends = list(itertools.accumulate(map(len, shares)))
        self._newest_ms = max(share.newest_ms for share in shares)
        self.newest: Sequence[int] = range(len(self._keys))
        self._older: dict[int, list[int]] = {}
        # A key twice is the exception: to look for one has to cost next to nothing.
        self.folded = len(set(self._keys)) < len(self._keys)
        self.unmade = False
        if self.folded:
            self._fold()

    def _fold(self) -> None:
        seqs = [seq for share in self._shares for seq in share.seqs]
        places: defaultdict[bytes, list[int]] = defaultdict(list)
        for place, key in enumerate(self._keys):
            places[key].append(place)
        for several in places.values():
            if len(several) > 1:
                # Of equal seqs the first read counts, as it would unfolded: an equal version does not overwrite.
                several.sort(key=lambda place: (seqs[place], -self._offsets[place]))
                self._older[several[-1]] = several[:-1]
        self.newest = [several[-1] for several in places.values()]

    def lines(self) -> tuple[bytes, list[int]]:
        """Those of the newest, in one piece, and their sizes."""
        sizes = [size for share in self._shares for size in share.line_sizes]
        lines = b"".join([share.lines for share in self._shares])
        if not self.folded:
            self.unmade = not all(sizes)
            return lines, sizes
        ends = list(itertools.accumulate(sizes))
        actions = Actions(self.part)
        chosen = [
            lines[ends[place] - sizes[place] : ends[place]] or actions.lines_or_none(self._item(place))
            for place in self.newest
        ]
        self.unmade = not all(chosen)
        return b"".join(chosen), list(map(len, chosen))

    def settled(self, piece: slice) -> Settled:
        newest = self.newest[piece]
        offsets = [self._offsets[place] for place in newest]
        offsets += (
            [self._offsets[older] for place in newest for older in self._older.get(place, ())] if self._older else []
        )
        return Settled(self.part, offsets, len(newest), len(offsets) - len(newest), self._newest_ms)

    def runs(self, piece: slice) -> Iterator[Run]:
        for place in self.newest[piece]:
            yield Run([self._item(event) for event in (*self._older.get(place, ()), place)])

    def _item(self, place: int) -> Item:
        number = bisect_right(self._ends, place)
        return self._shares[number].item(place - self._ends[number] + len(self._shares[number]))


class Folded:
    """A batch. `sizes`: of the lines of one event for each key of a partition; `unmade`: some of them are nothing.

    The same key in two partitions, after a change of their number, is two keys here: each event has its version, so it
    does not matter in which order Elasticsearch gets them.
    """

    def __init__(self, shares: Sequence[Share]) -> None:
        self.sizes: list[int] = []
        self._segments: list[_Segment] = []
        parts: defaultdict[Part, list[Share]] = defaultdict(list)
        for share in shares:
            if share.part.owned:
                parts[share.part].append(share)
        bodies = []
        for mine in parts.values():
            segment = _Segment(len(self.sizes), mine)
            lines, sizes = segment.lines()
            self._segments.append(segment)
            self.sizes += sizes
            bodies.append(lines)
        self._lines = b"".join(bodies)
        self.unmade = any(segment.unmade for segment in self._segments)

    def body(self, piece: slice) -> bytes:
        """The lines of a piece of `sizes`."""
        if len(self.sizes[piece]) == len(self.sizes):
            return self._lines
        begin = sum(self.sizes[: piece.start])
        return self._lines[begin : begin + sum(self.sizes[piece])]

    def _within(self, piece: slice) -> Iterator[tuple[_Segment, slice]]:
        for segment in self._segments:
            begin, end = max(piece.start - segment.start, 0), min(piece.stop - segment.start, len(segment.newest))
            if begin < end:
                yield segment, slice(begin, end)

    def parts(self, piece: slice) -> set[Part]:
        """Whose they are."""
        return {segment.part for segment, _ in self._within(piece)}

    def settled(self, piece: slice) -> Iterator[Settled]:
        """What is done when these lines are applied."""
        return (segment.settled(inner) for segment, inner in self._within(piece))

    def runs(self, piece: slice) -> list[Run]:
        """The events of these lines, each with what it has overtaken."""
        return [run for segment, inner in self._within(piece) for run in segment.runs(inner)]
