"""Lanes: a key is always in the same one. What an index does not take for long is set aside, so that others go on."""

from __future__ import annotations

import threading
import time

from ops import metrics
from sink.lane import Lane
from sink.settle import Tools
from sink.share import Share
from sink.sidings import Sidings


class Lanes:
    """All lanes of a sink."""

    def __init__(self, tools: Tools) -> None:
        self._closing = threading.Event()
        self._eased = threading.Event()
        self._sidings = Sidings(tools, self._closing, self._eased)
        self._lanes = [
            Lane(
                f"lane {number}",
                tools,
                closing=self._closing,
                eased=self._eased,
                gauge=metrics.SINK_BATCH_BYTES.labels(number),
                asides=self._sidings,
            )
            for number in range(tools.settings.lanes)
        ]

    @property
    def count(self) -> int:
        return len(self._lanes)

    def start(self) -> None:
        for lane in self._lanes:
            lane.start()

    def put(self, number: int, share: Share) -> None:
        """Queue records for a lane, in order; never blocks. The caller stops reading when `lane_bytes` is high."""
        self._lanes[number].put(share)

    @property
    def lane_bytes(self) -> int:
        """What is queued and in flight, about as much as it takes in memory; without what is set aside."""
        return sum(lane.queued_bytes for lane in self._lanes)

    @property
    def queued_bytes(self) -> int:
        """The same with what is set aside."""
        return self.lane_bytes + self._sidings.queued_bytes

    @property
    def set_aside(self) -> frozenset[str]:
        """The aliases whose indices take nothing; more of their partitions should not be read."""
        return self._sidings.aliases

    def wait_eased(self, timeout_s: float) -> None:
        """Wait until a lane has less to do than when this was called last."""
        self._eased.wait(timeout_s)
        self._eased.clear()

    def close(self, timeout_s: float) -> None:
        """Let every lane end its request in flight, and begin no other. What is queued stays uncommitted."""
        self._closing.set()
        deadline = time.monotonic() + timeout_s
        lanes = [*self._lanes, *self._sidings.lanes]
        for lane in lanes:
            lane.wake()
        for lane in lanes:
            lane.join(max(0.0, deadline - time.monotonic()))
