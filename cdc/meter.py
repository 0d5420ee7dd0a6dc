"""What is measured of publishing, from outside of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from cdc.loss_report import LossReport
from cdc.runs import topics
from cdc.source.seam import Batch, Loss
from ops import metrics
from schemas.position import Position


class _Open:
    """What the Kafka transaction holds that is open."""

    def __init__(self) -> None:
        self.began = 0.0
        self.rows = self.bytes = self.commit_ts_ms = 0
        self.topics: Counter[str] = Counter()
        self.losses: list[Loss] = []

    def add(self, batch: Batch) -> None:
        self.rows += batch.rows
        self.bytes += batch.size_bytes
        self.commit_ts_ms = batch.commit_ts_ms or self.commit_ts_ms
        self.topics.update(topics(batch.records))
        self.losses += batch.losses


class Meter:
    """Counts what was published, and remembers the last position for `/status`."""

    def __init__(self) -> None:
        self._position: Position | None = None
        self._rows = 0
        self._moved_ms = 0
        self._commit_ts_ms = 0
        self._sessions = 0
        self._losses = LossReport()
        self._open = _Open()

    def session(self) -> None:
        """A session begins; every one after the first is a restart."""
        if self._sessions:
            metrics.CDC_RESTARTS.inc()
        self._sessions += 1
        self._open = _Open()

    @contextmanager
    def publishing(self, batch: Batch) -> Iterator[None]:
        """Around the publishing of a batch; it counts when its transaction is committed, when the position moves."""
        self._open.began = self._open.began or time.perf_counter()
        yield
        self._open.add(batch)

    def moved(self, position: Position) -> None:
        """The stored position is this one now, and what was published before it is committed."""
        done, self._open = self._open, _Open()
        if done.began:
            metrics.CDC_TRANSACTION.observe(time.perf_counter() - done.began)
        metrics.CDC_BYTES.inc(done.bytes)
        for topic, count in done.topics.items():
            metrics.CDC_ROWS.labels(topic).inc(count)
        self._losses.published(done.losses)
        self._rows += done.rows
        if done.commit_ts_ms:
            self._commit_ts_ms = done.commit_ts_ms
            metrics.CDC_LAST_COMMIT.set(done.commit_ts_ms / 1000)
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
