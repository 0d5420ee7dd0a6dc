"""What is measured of publishing, from outside of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from cdc.loss_report import LossReport
from cdc.runs import topics
from cdc.source.seam import Batch
from ops import metrics
from schemas.position import Position


class Meter:
    """Counts what was published, and remembers the last position for `/status`."""

    def __init__(self) -> None:
        self._position: Position | None = None
        self._rows = 0
        self._moved_ms = 0
        self._commit_ts_ms = 0
        self._sessions = 0
        self._losses = LossReport()

    def session(self) -> None:
        """A session begins; every one after the first is a restart."""
        if self._sessions:
            metrics.CDC_RESTARTS.inc()
        self._sessions += 1

    @contextmanager
    def publishing(self, batch: Batch) -> Iterator[None]:
        """Around the publishing of a batch; what failed is not counted."""
        began = time.perf_counter()
        yield
        metrics.CDC_TRANSACTION.observe(time.perf_counter() - began)
        metrics.CDC_BYTES.inc(batch.size_bytes)
        for topic, count in topics(batch.records).items():
            metrics.CDC_ROWS.labels(topic).inc(count)
        self._losses.published(batch.losses)
        self._rows += batch.rows
        if batch.commit_ts_ms:
            self._commit_ts_ms = batch.commit_ts_ms
            metrics.CDC_LAST_COMMIT.set(batch.commit_ts_ms / 1000)

    def moved(self, position: Position) -> None:
        """The stored position is this one now."""
        self._position = position
        self._moved_ms = time.time_ns() // 1_000_000
        metrics.CDC_LAST_PROGRESS.set_to_current_time()

    def details(self) -> dict[str, object]:
        """For `/status`; a seq is a string, since it is above 2^53."""
        if self._position is None:
            return {}
        position = self._position
        return {
            "gtid_set": position.gtid_set,
            "file": position.file,
            "pos": position.pos,
            "seq": str(position.seq),
            "rows": self._rows,
            "sessions": self._sessions,
            "last_commit_ts_ms": self._commit_ts_ms,
            "position_moved_ts_ms": self._moved_ms,
        }
