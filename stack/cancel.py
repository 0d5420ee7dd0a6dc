"""A wish to stop that long waits look at."""

from __future__ import annotations

import threading

from stack.errors import CancelledError


class Cancel:
    """Set once, from any thread; everything that waits in the stack checks it."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raise if somebody asked to stop."""
        if self._event.is_set():
            raise CancelledError("stopped before the servers were up", hint="what had been started was stopped again")

    def sleep(self, seconds: float) -> None:
        """Wait, but not past the wish to stop."""
        self._event.wait(seconds)
        self.check()


never = Cancel()
