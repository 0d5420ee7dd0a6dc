"""Which offset of a partition may be committed: the lowest open one, or where the consumer stands."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple


class Mark(NamedTuple):
    """A place in a partition: an offset, and the seq of the last record below it (0: there is none)."""

    offset: int
    seq: int


class Offsets:
    """The open records of one partition. Opened in offset order by one thread, settled in any order by others."""

    def __init__(self, start: Mark) -> None:
        self._lock = threading.Condition()
        self._open: deque[Mark] = deque()
        self._settled: set[int] = set()
        self._end = start.offset
        self._seq = start.seq

    def opened(self, offset: int, seq: int) -> None:
        """A record was read; until it is settled nothing past it is committed."""
        with self._lock:
            self._open.append(Mark(offset, seq))
            self._end = offset + 1

    def settled(self, offsets: Iterable[int]) -> None:
        """These records are applied, overtaken or dead-lettered."""
        with self._lock:
            self._settled.update(offsets)
            while self._open and self._open[0].offset in self._settled:
                offset, self._seq = self._open.popleft()
                self._settled.discard(offset)
            self._lock.notify_all()

    def reached(self, position: int) -> None:
        """The consumer's position: past transaction markers, which are no records."""
        with self._lock:
            self._end = max(self._end, position)

    @property
    def mark(self) -> Mark:
        """What may be committed now."""
        with self._lock:
            return Mark(self._open[0].offset if self._open else self._end, self._seq)

    @property
    def open(self) -> int:
        """How many records wait behind the mark, those settled out of order included."""
        return len(self._open)

    def wait_open(self, most: int, timeout_s: float) -> bool:
        """Wait until at most so many are open; False if that takes too long."""
        with self._lock:
            return self._lock.wait_for(lambda: len(self._open) <= most, timeout_s)
