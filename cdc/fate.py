"""Whether what hangs was committed: told by seq, which the position that was committed with it holds too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

from schemas.position import begins_epoch


class Fate(StrEnum):
    """How hanging records are ended."""

    COMMIT = "commit"  # the position is past them: nobody would publish them again
    ABORT = "abort"  # the position is before them: they are published again
    UNKNOWN = "unknown"  # either could lose some, or publish them twice


class Judge:
    """Of one start. `committed`: the seq of the position that is visible, None if there is none.

    `hidden`: the seqs of the positions that hang, in order. `visible`: the highest seq that readers of committed
    records find in the tables' topics; asked only where it decides. `rows`: lowest and highest seq of what hangs in
    each partition of a table's topic.
    """

    def __init__(
        self,
        committed: int | None,
        hidden: Sequence[int],
        visible: Callable[[], int],
        rows: Iterable[tuple[int, int]] = (),
    ) -> None:
        #: Of the positions that hang, of which the last one counts.
        self.positions = Fate.ABORT
        self._limit: int | None = committed or 0  # everything up to this seq was committed
        if committed is None or hidden:
            self._look(hidden, visible(), rows)

    def _look(self, hidden: Sequence[int], seen: int, rows: Iterable[tuple[int, int]]) -> None:
        before = self._limit or 0
        if seen <= before:  # nobody has seen anything of what the hanging positions are about
            # A first position, or one set by hand, has no rows: to undo it could skip changes, to keep it cannot.
            last = hidden[-1] if hidden else 0
            beside = any(lowest <= last and highest > before for lowest, highest in rows)
            if last > before and begins_epoch(last) and not beside:
                self.positions, self._limit = Fate.COMMIT, last
            return
        known = hidden and max(before, *hidden[:-1], 0) < seen <= hidden[-1]
        self.positions = Fate.COMMIT if known else Fate.UNKNOWN
        self._limit = hidden[-1] if known else None

    def changes(self, lowest: int, highest: int) -> Fate:
        """Of a partition's records, from the lowest seq to the highest."""
        if self._limit is None or lowest <= self._limit < highest:
            return Fate.UNKNOWN
        return Fate.COMMIT if highest <= self._limit else Fate.ABORT


def of_notes(fates: Iterable[Fate]) -> Fate:
    """Of records without a seq, from the fates of what hangs beside them: one transaction has one."""
    found = set(fates)
    return found.pop() if len(found) == 1 else Fate.UNKNOWN
