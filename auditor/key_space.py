"""Where in a table's sorted keys its findings lie: cells of about as many keys each, with findings counted in them."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from auditor.store import Store
from schemas.cost import KeySpace
from schemas.report import FindingClass

CELLS = 96
_SAMPLES = 2000
_BOUND_CHARACTERS = 64


class Cells:
    """Filled while findings are confirmed. `keys`: the table's keys, or a sample of them, in any order."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._bounds = _cuts(sorted(keys))
        self._marks = [Counter[str]() for _ in range(len(self._bounds) + 1)]

    def mark(self, kind: FindingClass, key: str) -> None:
        self._marks[bisect_right(self._bounds, key.encode())][kind.value] += 1

    def report(self) -> KeySpace:
        return KeySpace(bounds=[bound.decode() for bound in self._bounds], marks=[dict(cell) for cell in self._marks])


def sample(store: Store) -> list[bytes]:
    """Some keys of those whose document must be there, all of them if they are few."""
    rows = store.run(f"SELECT key FROM live USING SAMPLE reservoir({_SAMPLES} ROWS) REPEATABLE (1)")  # noqa: S608  a constant
    return [key for (key,) in rows]


def merged(spaces: Sequence[KeySpace]) -> KeySpace:
    """One key space for several parts of it: the finest one's cells; others' findings where their cells begin."""
    finest = max(spaces, key=lambda space: len(space.bounds), default=KeySpace())
    bounds = [bound.encode() for bound in finest.bounds]
    marks = [Counter[str]() for _ in finest.marks]
    for space in spaces:
        for begin, cell in zip(["", *space.bounds], space.marks, strict=True):
            marks[bisect_right(bounds, begin.encode()) if begin else 0].update(cell)
    return KeySpace(bounds=finest.bounds, marks=[dict(cell) for cell in marks])


def _cuts(keys: Sequence[bytes]) -> list[bytes]:
    """Bounds between cells; a key shared by several bounds is one bound."""
    cuts = [keys[number * len(keys) // CELLS] for number in range(1, min(CELLS, len(keys)))] if keys else []
    short = [_short(cut) for cut in cuts]
    return [short[0], *(after for before, after in pairwise(short) if before < after)] if short else []


def _short(key: bytes) -> bytes:
    """A prefix sorts before the keys that it begins, so it may stand for a bound."""
    return key.decode()[:_BOUND_CHARACTERS].encode()
