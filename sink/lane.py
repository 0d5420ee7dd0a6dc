"""A lane: a thread with a queue and one bulk request in flight."""

from __future__ import annotations

import threading
import time
from collections import deque

from prometheus_client import Gauge

from sink.bound import Bound, cuts
from sink.settle import Asides, Settler, Tools
from sink.share import Share


class Lane:
    """One thread: takes a batch, has it settled, takes the next.

    `asides`: where what an index does not take may wait; without, it waits here, and all behind it.
    """

    def __init__(
        self,
        name: str,
        tools: Tools,
        *,
        closing: threading.Event,
        eased: threading.Event,
        gauge: Gauge,
        asides: Asides | None = None,
    ) -> None:
        self._settings = tools.settings
        self._fault = tools.fault
        self._closing = closing
        self._eased = eased
        self._bound = Bound(tools.settings.max_batch_bytes)
        self._asides = asides
        self._settler = Settler(f"elasticsearch, {name}", tools, self._bound, closing, asides)
        self._gauge = gauge
        self._changed = threading.Condition()
        self._queue: deque[tuple[float, Share]] = deque()  # with the time when it came
        self._waiting_items = self._waiting_bytes = 0
        self.queued_bytes = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, share: Share) -> None:
        now = time.monotonic()
        with self._changed:
            self._queue.append((now, share))
            self._waiting_items += len(share)
            self._waiting_bytes += len(share.lines)
            self.queued_bytes += share.weight
            self._changed.notify()

    def wake(self) -> None:
        with self._changed:
            self._changed.notify()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while batch := self._take():
                self._settle(batch)
        except BaseException as error:  # noqa: BLE001  a lane's death ends the service, whatever it died of
            self._fault.set(error)

    def _settle(self, batch: list[Share]) -> None:
        self._settler.settle(batch if self._asides is None else self._asides.divert(batch))
        self._gauge.set(self._bound.bytes)
        with self._changed:
            self.queued_bytes -= sum(share.weight for share in batch)
        self._eased.set()

    def _take(self) -> list[Share]:
        """The next batch; empty when the lane is to end."""
        with self._changed:
            while not self._queue and not self._closing.is_set():
                self._changed.wait()
            while not self._closing.is_set() and not self._full and (rest_s := self._linger_s()) > 0:
                self._changed.wait(rest_s)
            return [] if self._closing.is_set() else self._pop()

    @property
    def _full(self) -> bool:
        return self._waiting_items >= self._settings.max_batch_events or self._waiting_bytes >= self._bound.bytes

    def _linger_s(self) -> float:
        return self._queue[0][0] + self._settings.linger_s - time.monotonic()

    def _pop(self) -> list[Share]:
        batch: list[Share] = []
        room_items, room_bytes = self._settings.max_batch_events, self._bound.bytes
        while self._queue and room_items > 0 and room_bytes > 0:
            share = self._first(room_items, room_bytes, alone=not batch)
            if share is None:
                break
            batch.append(share)
            room_items -= len(share)
            room_bytes -= len(share.lines)
        self._waiting_items -= sum(map(len, batch))
        self._waiting_bytes -= sum(len(share.lines) for share in batch)
        return batch

    def _first(self, room_items: int, room_bytes: int, *, alone: bool) -> Share | None:
        """The first share, or as much of it as there is room for, at least one record if it is to go alone."""
        came, share = self._queue.popleft()
        if len(share) <= room_items and len(share.lines) <= room_bytes:
            return share
        if share.line_sizes[0] > room_bytes and not alone:
            self._queue.appendleft((came, share))
            return None
        stop = next(cuts(share.line_sizes, room_bytes, room_items)).stop
        if stop == len(share):
            return share
        share, rest = share.cut(stop)
        self._queue.appendleft((came, rest))
        return share
