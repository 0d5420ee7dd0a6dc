"""How lately the group has confirmed that our partitions are ours.

A process that was stopped, or cut off from Kafka, does not know that its partitions have moved on. Nothing is sent on
the strength of a confirmation older than two minutes: with the time one request may take that is well below
`index.gc_deletes`, so no late request brings a deleted document back.
"""

from __future__ import annotations

import time

LONGEST_S = 120


class Lease:
    """Renewed by every assignment and every commit that the group accepts."""

    def __init__(self, longest_s: float = LONGEST_S) -> None:
        self._longest_s = longest_s
        self._confirmed = time.monotonic()

    def renew(self, asked: float) -> None:
        """The group confirmed what we asked at this monotonic time."""
        self._confirmed = max(self._confirmed, asked)

    @property
    def age_s(self) -> float:
        return time.monotonic() - self._confirmed

    @property
    def fresh(self) -> bool:
        return self.age_s < self._longest_s
