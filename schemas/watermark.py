"""Offsets of one partition: low inclusive, high exclusive."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """`[low, high)` of a partition: log start and last stable offset, or a part between them."""

    partition: int
    low: int
    high: int

    def __contains__(self, offset: int) -> bool:
        return self.low <= offset < self.high

    @property
    def empty(self) -> bool:
        return self.high <= self.low
