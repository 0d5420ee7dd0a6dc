"""Of several events of a key in one batch only the newest is sent; the others are kept, in case it is refused."""

from __future__ import annotations

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

    __slots__ = ("events", "left", "letters")

    def __init__(self, events: Sequence[Item]) -> None:
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
    """A batch's share of one partition. `start`: of its lines in the batch's; `newest`: the places of what is sent."""

    def __init__(self, start: int, share: Share) -> None:
        self.start = start
        self.share = share
        self.newest: Sequence[int] = range(len(share))
        self._older: dict[int, list[int]] = {}
        # A key twice is the exception: to look for one has to cost next to nothing.
        if len(set(share.keys)) < len(share):
            self._fold()

    def _fold(self) -> None:
        share = self.share
        places: defaultdict[bytes, list[int]] = defaultdict(list)
        for place, key in enumerate(share.keys):
            places[key].append(place)
        for several in places.values():
            if len(several) > 1:
                # Of equal seqs the first read counts, as it would unfolded: an equal version does not overwrite.
                several.sort(key=lambda place: (share.seqs[place], -share.offsets[place]))
                self._older[several[-1]] = several[:-1]
        self.newest = [several[-1] for several in places.values()]

    def lines(self) -> list[bytes]:
        share = self.share
        actions = Actions(share.part)
        return [share.lines[place] or actions.lines(share.item(place)) for place in self.newest]

    def settled(self, piece: slice) -> Settled:
        share, newest = self.share, self.newest[piece]
        offsets = [share.offsets[place] for place in newest]
        if self._older:
            offsets += [share.offsets[older] for place in newest for older in self._older.get(place, ())]
        return Settled(share.part, offsets, len(newest), len(offsets) - len(newest), share.newest_ms)

    def runs(self, piece: slice) -> Iterator[Run]:
        for place in self.newest[piece]:
            yield Run([self.share.item(event) for event in (*self._older.get(place, ()), place)])


class Folded:
    """A batch. `lines`: those of one event for each key of a partition.

    The same key in two partitions, after a change of their number, is two keys here: each event has its version, so it
    does not matter in which order Elasticsearch gets them.
    """

    def __init__(self, shares: Sequence[Share]) -> None:
        self.lines: list[bytes] = []
        self._segments: list[_Segment] = []
        parts: dict[Part, Share] = {}
        for share in shares:
            if share.part.owned:
                parts.setdefault(share.part, Share(share.part)).extend(share)
        for share in parts.values():
            segment = _Segment(len(self.lines), share)
            self._segments.append(segment)
            self.lines += segment.lines()

    def _within(self, piece: slice) -> Iterator[tuple[_Segment, slice]]:
        for segment in self._segments:
            begin, end = max(piece.start - segment.start, 0), min(piece.stop - segment.start, len(segment.newest))
            if begin < end:
                yield segment, slice(begin, end)

    def parts(self, piece: slice) -> set[Part]:
        """Whose they are."""
        return {segment.share.part for segment, _ in self._within(piece)}

    def settled(self, piece: slice) -> Iterator[Settled]:
        """What is done when these lines are applied."""
        return (segment.settled(inner) for segment, inner in self._within(piece))

    def runs(self, piece: slice) -> list[Run]:
        """The events of these lines, each with what it has overtaken."""
        return [run for segment, inner in self._within(piece) for run in segment.runs(inner)]
