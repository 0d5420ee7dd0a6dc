"""SIGTERM and SIGINT ask a service to stop; a second one ends it at once."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time

from schemas.errors import ExitCode

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """One flag and one deadline, shared by everything that shuts down."""

    def __init__(self, timeout_s: float = 10) -> None:
        self._event = threading.Event()
        self._timeout_s = timeout_s
        self._deadline = float("inf")
        self.reason = ""

    def install(self) -> None:
        """Take SIGTERM and SIGINT over; main thread only."""
        # A handler in Python runs between two steps of the main thread, which may be inside a call of librdkafka for
        # as long as that takes. The wake-up descriptor is written to at once, so a thread listens there instead.
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        threading.Thread(target=self._listen, args=(reader, writer), name="signals", daemon=True).start()

    def _listen(self, reader: socket.socket, _keep_open: socket.socket) -> None:
        while received := reader.recv(16):
            for number in received:
                if number in _SIGNALS:
                    self._on_signal(number)

    def _on_signal(self, number: int) -> None:
        if self._event.is_set():
            os._exit(ExitCode.INTERRUPTED)
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
