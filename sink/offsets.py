"""Which offset of a partition may be committed: the lowest open one, or where the consumer stands."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Mark(NamedTuple):
    """A place in a partition: an offset, and the seq of the last record below it (0: there is none)."""

    offset: int
    seq: int


class Offsets:
    """The open records of one partition. Opened in offset order by one thread, settled in any order by others."""

    def __init__(self, start: Mark) -> None:
        self._lock = threading.Condition()
        self._open: deque[tuple[int, int]] = deque()  # offset and seq
        self._settled: set[int] = set()
        self._end = start.offset
        self._seq = start.seq

    def opened(self, records: Sequence[tuple[int, int]]) -> None:
        """Records were read, each an offset and a seq; until one is settled nothing past it is committed."""
        with self._lock:
            self._open.extend(records)
            self._end = records[-1][0] + 1

    def settled(self, offsets: Iterable[int]) -> None:
        """These records are applied, overtaken or dead-lettered."""
        with self._lock:
            waiting, done = self._open, self._settled
            done.update(offsets)
            while waiting and waiting[0][0] in done:
                offset, self._seq = waiting.popleft()
                done.discard(offset)
            self._lock.notify_all()

    def reached(self, position: int) -> None:
        """The consumer's position: past transaction markers, which are no records."""
        with self._lock:
            self._end = max(self._end, position)

    @property
    def mark(self) -> Mark:
        """What may be committed now."""
        with self._lock:
            return Mark(self._open[0][0] if self._open else self._end, self._seq)

    @property
    def end(self) -> int:
        """Where reading has come to."""
        return self._end

    @property
    def open(self) -> int:
        """How many records wait behind the mark, those settled out of order included."""
        return len(self._open)

    def wait_open(self, most: int, timeout_s: float) -> bool:
        """Wait until at most so many are open; False if that takes too long."""
        with self._lock:
            return self._lock.wait_for(lambda: len(self._open) <= most, timeout_s)
