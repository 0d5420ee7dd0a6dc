"""Of several events of a key in one batch only the newest is sent; the others are kept, in case it is refused."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.deadletter import DeadLetter
from sink.part import Item


class Run:
    """The events of one key in a batch, and how far back we had to go.

    `left`: those that may still be sent, from the oldest to the newest; `letters`: those that were refused.
    """

    __slots__ = ("events", "left", "letters")

    def __init__(self, events: list[Item]) -> None:
        self.events = events
        # Of equal seqs the first read counts, as it would unfolded: an equal version does not overwrite.
        self.left = sorted(events, key=lambda item: (item.seq, -item.offset)) if len(events) > 1 else list(events)
        self.letters: list[DeadLetter] = []

    @property
    def current(self) -> Item:
        """The event to send."""
        return self.left[-1]

    def refuse(self, letter: DeadLetter) -> None:
        """The current event is poison: the one before it is sent instead, if there is one."""
        self.letters.append(letter)
        self.left.pop()

    def keep_owned(self) -> bool:
        """Forget the events of partitions that were taken away; False if nothing is left."""
        if not all(item.part.owned for item in self.events):
            self.events = [item for item in self.events if item.part.owned]
            self.left = [item for item in self.left if item.part.owned]
        return bool(self.events)


def fold(items: Iterable[Item]) -> list[Run]:
    """One run a key, in the order in which the keys first appear."""
    runs: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        runs.setdefault((item.part.topic, item.key), []).append(item)
    return [Run(events) for events in runs.values()]
