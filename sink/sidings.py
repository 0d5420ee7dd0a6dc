"""Where changes wait whose index takes nothing, so that the lanes go on with those of other tables."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from ops import metrics
from sink.lane import Lane
from sink.settle import Tools
from sink.share import Share

MOST = 8  # threads, and connections, that may wait like this
_MOST_QUEUES = 2  # how many times `queue_bytes` may be set aside, before a lane waits itself


class Siding(Lane):
    """A lane for one alias: tries again like any other, and ends when nothing is left."""

    def __init__(
        self,
        alias: str,
        tools: Tools,
        closing: threading.Event,
        eased: threading.Event,
        is_over: Callable[[str], bool],
        *,
        size_bytes: int,
    ) -> None:
        super().__init__(alias, tools, closing=closing, eased=eased, gauge=metrics.SINK_BATCH_BYTES.labels("aside"))
        self._bound.begin(size_bytes)
        self._alias = alias
        self._is_over = is_over

    def _take(self) -> list[Share]:
        return [] if self._is_over(self._alias) else super()._take()


class Sidings:
    """The aliases that are set aside; for several threads.

    While one is, all that the lanes have of it goes there, in order; a key comes from one lane only.
    """

    def __init__(self, tools: Tools, closing: threading.Event, eased: threading.Event) -> None:
        self._tools = tools
        self._closing = closing
        self._eased = eased
        self._most_bytes = tools.settings.queue_bytes * _MOST_QUEUES
        self._lock = threading.Lock()
        self._open: dict[str, Siding] = {}

    @property
    def aliases(self) -> frozenset[str]:
        with self._lock:
            return frozenset(self._open)

    @property
    def lanes(self) -> list[Lane]:
        with self._lock:
            return list(self._open.values())

    @property
    def queued_bytes(self) -> int:
        return sum(lane.queued_bytes for lane in self.lanes)

    def takes(self, alias: str, *, begin: bool) -> bool:
        """True if something of this alias may be put here: it is set aside already, or, to `begin`, there is room."""
        with self._lock:
            known, busy = alias in self._open, len(self._open)
        return known or (begin and busy < MOST and self.queued_bytes < self._most_bytes)

    def put(self, alias: str, shares: Sequence[Share], size_bytes: int) -> None:
        """Let them wait, behind what waits already; `size_bytes`: of a request that may get through."""
        with self._lock:
            siding = self._open.get(alias)
            known = siding or Siding(
                alias, self._tools, self._closing, self._eased, self._is_over, size_bytes=size_bytes
            )
            for share in shares:
                known.put(share)
            if siding is None:
                self._open[alias] = known
                known.start()

    def divert(self, batch: list[Share]) -> list[Share]:
        """What a lane may send itself of a batch; the rest is put here."""
        if not self._open:
            return batch
        with self._lock:
            for share in batch:
                if share.part.alias in self._open:
                    self._open[share.part.alias].put(share)
            return [share for share in batch if share.part.alias not in self._open]

    def _is_over(self, alias: str) -> bool:
        """True, and it is forgotten, if nothing waits there: the lanes send again themselves."""
        with self._lock:
            if self._open[alias].queued_bytes:
                return False
            del self._open[alias]
            return True
