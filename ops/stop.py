"""SIGTERM and SIGINT ask a service to stop; a second one ends it at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType

from ops.log import logger
from schemas.errors import ExitCode

_log = logger(__name__)


class Stop:
    """One flag and one deadline, shared by everything that shuts down."""

    def __init__(self, timeout_s: float = 10) -> None:
        self._event = threading.Event()
        self._timeout_s = timeout_s
        self._deadline = float("inf")
        self.reason = ""

    def install(self) -> None:
        """Take SIGTERM and SIGINT over; main thread only."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._event.is_set():
            os._exit(ExitCode.INTERRUPTED)
        # No logging here: the signal may have interrupted a thread that holds the log's lock.
        self.request(signal.Signals(number).name)

    def request(self, reason: str) -> None:
        """Ask for the end; the first reason stands. A watchdog ends a process that misses the deadline."""
        if self._event.is_set():
            return
        self.reason = reason
        self._deadline = time.monotonic() + self._timeout_s
        self._event.set()

    @property
    def requested(self) -> bool:
        return self._event.is_set()

    @property
    def remaining_s(self) -> float:
        """Seconds until the deadline; infinite while nobody has asked."""
        return max(0.0, self._deadline - time.monotonic())

    def wait(self, timeout_s: float) -> bool:
        """Sleep, but not past the request to stop; True if it came."""
        return self._event.wait(timeout_s)
