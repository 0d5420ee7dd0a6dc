"""How lately the group has confirmed that our partitions are ours.

A process that was stopped, or cut off from Kafka, does not know that its partitions have moved on. Nothing is sent
before the first confirmation, nor on the strength of one that is older than the group's patience: by then somebody else
may have deleted what we would write. Elasticsearch refuses that only as long as it remembers (`index.gc_deletes`), and
an index that has moved or come up again remembers nothing.
"""

from __future__ import annotations

import threading
import time

_AGEING = 1 / 3  # of its time


class Lease:
    """Renewed by every commit that the group accepts: it does so only from a member of its present generation."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._confirmed = float("-inf")
        self._renewed = threading.Condition()

    def renew(self, asked: float) -> None:
        """The group confirmed what we asked at this monotonic time."""
        with self._renewed:
            self._confirmed = max(self._confirmed, asked)
            self._renewed.notify_all()

    @property
    def age_s(self) -> float:
        return time.monotonic() - self._confirmed

    @property
    def left_s(self) -> float:
        """For how long it will be fresh."""
        return max(0.0, self._longest_s - self.age_s)

    @property
    def ageing(self) -> bool:
        """True if it had better be renewed."""
        return self.age_s > self._longest_s * _AGEING

    @property
    def fresh(self) -> bool:
        return self.age_s < self._longest_s

    def await_fresh(self, timeout_s: float) -> bool:
        """Wait for a confirmation, if the last is too old; false if none comes."""
        with self._renewed:
            return self._renewed.wait_for(lambda: self.fresh, timeout_s)
