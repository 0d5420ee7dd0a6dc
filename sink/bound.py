"""How many bytes a request may hold: what gets most through, and less at once where that was too much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

_LEAST_BYTES = 1024
_FIRST_BYTES = 1 << 20
_SAMPLES = 8  # requests of one size, before a judgement on it
_BETTER = 1.1
_LOOK_AGAIN = 1000  # requests after which the best size may have become another


class Bound:
    """`bytes` grows until more of them get no more through, is halved by what was too much, and recovers in sixteenths.

    For one thread: every lane has its own.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._ceiling = self.bytes = min(most_bytes, _FIRST_BYTES)
        self._best = 0.0  # bytes a second that were seen with less
        self._rates: list[float] = []
        self._settled_for = 0

    def begin(self, size_bytes: int) -> None:
        """Begin with what another lane has come to."""
        self.bytes = max(_LEAST_BYTES, min(self._ceiling, size_bytes))

    def shrink(self, sent_bytes: int, least_bytes: int = 0) -> None:
        """A request of this size was too much; `least_bytes`: less than that would mend nothing."""
        least = max(_LEAST_BYTES, min(self.bytes, least_bytes))
        self.bytes = max(least, min(self.bytes, sent_bytes) // 2)
        self._rates.clear()

    def accepted(self, sent_bytes: int, took_s: float) -> None:
        """A request of this size went through."""
        if self.bytes < self._ceiling:
            self.bytes = min(self._ceiling, self.bytes + self._ceiling // 16)
        elif self._settled_for:
            self._settled_for -= 1
        elif sent_bytes * 2 > self.bytes:
            self._rates.append(sent_bytes / max(took_s, 1e-6))
            if len(self._rates) == _SAMPLES:
                self._judge(median(self._rates))

    def _judge(self, rate: float) -> None:
        self._rates.clear()
        if rate > self._best * _BETTER:
            self._best = rate
            self._move(self._ceiling * 2)
        else:
            # No more got through than with half of it, which comes sooner and takes less memory.
            self._best = 0.0
            self._settled_for = _LOOK_AGAIN
            self._move(self._ceiling // 2)

    def _move(self, size: int) -> None:
        self._ceiling = self.bytes = max(_LEAST_BYTES, min(self._most, size))


def cuts(sizes: Sequence[int], most_bytes: int, most_items: int) -> Iterator[slice]:
    """Consecutive pieces of something, each within both limits, or one item that is not."""
    if len(sizes) <= most_items and sum(sizes) <= most_bytes:
        if sizes:
            yield slice(0, len(sizes))
        return
    start = taken = 0
    for place, size in enumerate(sizes):
        if place > start and (taken + size > most_bytes or place - start == most_items):
            yield slice(start, place)
            start, taken = place, 0
        taken += size
    yield slice(start, len(sizes))
