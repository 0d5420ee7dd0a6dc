"""When to read no more for a while: the lanes are full."""

from __future__ import annotations

import time
from collections.abc import Callable

_PATIENCE_S = 1.0


class Pressure:
    """Full from `most_bytes` on, until no more than seven eighths of that are left: about half of it is on its way.

    While it is `high` nothing is read. A pause throws away what was fetched ahead, so partitions are paused only when
    it has been high for long: then `paused`, until half of it is left, and the consumer is polled, as the group
    demands, and gives nothing.
    """

    def __init__(self, most_bytes: int, queued_bytes: Callable[[], int]) -> None:
        self._most = most_bytes
        self._queued = queued_bytes
        self._since = 0.0
        self.high = False

    def look(self) -> None:
        """Look at the queues again."""
        release = self._most // 2 if self.paused else self._most * 7 // 8
        was, self.high = self.high, self._queued() > (release if self.high else self._most)
        if self.high and not was:
            self._since = time.monotonic()

    @property
    def paused(self) -> bool:
        return self.high and time.monotonic() - self._since >= _PATIENCE_S
