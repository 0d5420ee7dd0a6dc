"""The Kafka transaction that is open: what is in it, and when it is full."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self

from cdc.source.seam import Batch
from ops.settings import CdcSettings
from schemas.position import Position

_PORTIONS = 4  # in a transaction, at least
_PORTION_ROWS = 2000
_PORTION_BYTES = 1 << 20
_LONGEST_S = 1.0  # whoever reads committed records waits for the whole of it
_SMALLEST = 1 / 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """A transaction that holds so much is committed, although more is at hand."""

    rows: int
    bytes: int

    @classmethod
    def of(cls, settings: CdcSettings, share: float) -> Self:
        """`share`: how much of what is configured, after slow commits."""
        return cls(
            rows=max(1, int(settings.max_batch_events * share)), bytes=max(1, int(settings.max_batch_bytes * share))
        )

    @property
    def portion(self) -> Bounds:
        """What the source gives at once: a transaction is gathered from such batches, so little of it is in memory."""
        return Bounds(
            rows=max(1, min(self.rows // _PORTIONS, _PORTION_ROWS)),
            bytes=max(1, min(self.bytes // _PORTIONS, _PORTION_BYTES)),
        )


class Opened:
    """Grows by batches; `position` is the one after the last of them."""

    def __init__(self, bounds: Bounds, position: Position) -> None:
        self._bounds = bounds
        self._rows = self._bytes = 0
        self._since = time.monotonic()
        self.position = position

    def add(self, batch: Batch, position: Position) -> None:
        """The batch's records are in it now."""
        self._rows += batch.rows
        self._bytes += batch.size_bytes
        self.position = position

    @property
    def old(self) -> bool:
        return time.monotonic() >= self._since + _LONGEST_S

    @property
    def full(self) -> bool:
        return self._rows >= self._bounds.rows or self._bytes >= self._bounds.bytes or self.old


class Sizes:
    """How large transactions are: an eighth of the bounds at first, twice as large while they go quickly, else half."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._part = _SMALLEST

    def open(self, position: Position) -> Opened:
        """The next one."""
        part = Bounds(
            rows=max(1, int(self._bounds.rows * self._part)), bytes=max(1, int(self._bounds.bytes * self._part))
        )
        return Opened(part, position)

    def closed(self, opened: Opened) -> None:
        """It is committed now."""
        self._part = max(_SMALLEST, self._part / 2) if opened.old else min(1.0, self._part * 2)
