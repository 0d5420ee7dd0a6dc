"""Whoever waits for servers to come up: hears what is being done, and may wish to stop it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from stack.errors import CancelledError

Report = Callable[[str], None]


def print_nothing(_sentence: str) -> None:
    """For who does not want to hear."""


class Watcher:
    """Shared by all threads of one `up`; everything that takes long looks at it."""

    def __init__(self, report: Report = print_nothing) -> None:
        self._report = report
        self._stop = threading.Event()

    def say(self, sentence: str) -> None:
        """Tell what is being done now."""
        self._report(sentence)

    def stop(self) -> None:
        """Make everybody who checks give up."""
        self._stop.set()

    def check(self) -> None:
        """Raise if somebody wished to stop."""
        if self._stop.is_set():
            raise CancelledError("stopped before the servers were up", hint="what had been started was stopped again")

    def sleep(self, seconds: float) -> None:
        """Wait, but not past the wish to stop."""
        self._stop.wait(seconds)
        self.check()
