"""Lanes: each a thread with a queue and one bulk request in flight; a key is always in the same one."""

from __future__ import annotations

import threading
import time
from collections import deque

from ops import metrics
from sink.bulk import Bound
from sink.part import Item
from sink.settle import Settler, Tools

_OBJECT_BYTES = 1024  # what an item weighs beside its bytes: a dict, its strings, the message
_PARSED = 4  # a parsed row takes about as many times its JSON


class Lanes:
    """All lanes of a sink."""

    def __init__(self, tools: Tools) -> None:
        self._closing = threading.Event()
        self._lanes = [Lane(number, tools, self._closing) for number in range(tools.settings.lanes)]

    def start(self) -> None:
        for lane in self._lanes:
            lane.start()

    def put(self, item: Item) -> None:
        """Queue an item; never blocks. The caller stops reading when `queued_bytes` is too high."""
        self._lanes[hash((item.part.topic, item.key)) % len(self._lanes)].put(item)

    @property
    def queued_bytes(self) -> int:
        """What is queued and in flight, about as much as it takes in memory."""
        return sum(lane.queued_bytes for lane in self._lanes)

    @property
    def idle(self) -> bool:
        return all(lane.queued_bytes == 0 for lane in self._lanes)

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

    def __init__(self, number: int, tools: Tools, closing: threading.Event) -> None:
        self._settings = tools.settings
        self._fault = tools.fault
        self._closing = closing
        self._bound = Bound(tools.settings.max_batch_bytes)
        self._settler = Settler(f"elasticsearch, lane {number}", tools, self._bound, closing)
        self._gauge = metrics.SINK_BATCH_BYTES.labels(number)
        self._changed = threading.Condition()
        self._queue: deque[tuple[float, Item]] = deque()
        self._waiting_bytes = 0
        self.queued_bytes = 0
        self._thread = threading.Thread(target=self._run, name=f"lane-{number}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, item: Item) -> None:
        with self._changed:
            self._queue.append((time.monotonic(), item))
            self._waiting_bytes += item.size
            self.queued_bytes += _weight(item)
            self._changed.notify()

    def wake(self) -> None:
        with self._changed:
            self._changed.notify()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while batch := self._take():
                self._settler.settle(batch)
                self._gauge.set(self._bound.bytes)
                with self._changed:
                    self.queued_bytes -= sum(map(_weight, batch))
        except BaseException as error:  # noqa: BLE001  a lane's death ends the service, whatever it died of
            self._fault.set(error)

    def _take(self) -> list[Item]:
        """The next batch; empty when the lane is to end."""
        with self._changed:
            while not self._queue and not self._closing.is_set():
                self._changed.wait()
            while not self._closing.is_set() and not self._full and (rest_s := self._linger_s()) > 0:
                self._changed.wait(rest_s)
            return [] if self._closing.is_set() else self._pop()

    @property
    def _full(self) -> bool:
        return len(self._queue) >= self._settings.max_batch_events or self._waiting_bytes >= self._bound.bytes

    def _linger_s(self) -> float:
        return self._queue[0][0] + self._settings.linger_s - time.monotonic()

    def _pop(self) -> list[Item]:
        batch: list[Item] = []
        taken = 0
        while self._queue and len(batch) < self._settings.max_batch_events:
            size = self._queue[0][1].size
            if batch and taken + size > self._bound.bytes:
                break
            batch.append(self._queue.popleft()[1])
            taken += size
        self._waiting_bytes -= taken
        return batch


def _weight(item: Item) -> int:
    return item.size * _PARSED + _OBJECT_BYTES
