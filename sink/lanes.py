"""Lanes: each a thread with a queue and one bulk request in flight; a key is always in the same one."""

from __future__ import annotations

import threading
import time
from collections import deque

from ops import metrics
from sink.bound import Bound, cuts
from sink.settle import Settler, Tools
from sink.share import Share


class Lanes:
    """All lanes of a sink."""

    def __init__(self, tools: Tools) -> None:
        self._closing = threading.Event()
        self._eased = threading.Event()
        self._lanes = [Lane(number, tools, self._closing, self._eased) for number in range(tools.settings.lanes)]

    @property
    def count(self) -> int:
        return len(self._lanes)

    def start(self) -> None:
        for lane in self._lanes:
            lane.start()

    def put(self, number: int, share: Share) -> None:
        """Queue records for a lane, in order; never blocks. The caller stops reading when `queued_bytes` is high."""
        self._lanes[number].put(share)

    @property
    def queued_bytes(self) -> int:
        """What is queued and in flight, about as much as it takes in memory."""
        return sum(lane.queued_bytes for lane in self._lanes)

    @property
    def idle(self) -> bool:
        return all(lane.queued_bytes == 0 for lane in self._lanes)

    def wait_eased(self, timeout_s: float) -> None:
        """Wait until a lane has less to do than when this was called last."""
        self._eased.wait(timeout_s)
        self._eased.clear()

    def close(self, timeout_s: float) -> None:
        """Let every lane end its request in flight, and begin no other. What is queued stays uncommitted."""
        self._closing.set()
        deadline = time.monotonic() + timeout_s
        for lane in self._lanes:
            lane.wake()
        for lane in self._lanes:
            lane.join(max(0.0, deadline - time.monotonic()))


class Lane:
    """One thread: takes a batch, has it settled, takes the next."""

    def __init__(self, number: int, tools: Tools, closing: threading.Event, eased: threading.Event) -> None:
        self._settings = tools.settings
        self._fault = tools.fault
        self._closing = closing
        self._eased = eased
        self._bound = Bound(tools.settings.max_batch_bytes)
        self._settler = Settler(f"elasticsearch, lane {number}", tools, self._bound, closing)
        self._gauge = metrics.SINK_BATCH_BYTES.labels(number)
        self._changed = threading.Condition()
        self._queue: deque[tuple[float, Share]] = deque()  # with the time when it came
        self._waiting_items = self._waiting_bytes = 0
        self.queued_bytes = 0
        self._thread = threading.Thread(target=self._run, name=f"lane-{number}", daemon=True)

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
        self._settler.settle(batch)
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
