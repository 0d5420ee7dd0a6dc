"""Work beside the lanes that may take long: looking into an index, deleting below a barrier."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from schemas.errors import TidemarkError
from sink.trouble import Fault, Troubles

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 10.0

Chore = Callable[[], bool]


@dataclass(slots=True)
class _Line:
    """The chores of one place, in order. `due`: when the first may be tried, monotonic; `begun`: it goes on."""

    chores: deque[tuple[str, Chore]] = field(default_factory=deque)
    due: float = 0.0
    failures: int = 0
    begun: bool = False


class Chores:
    """One thread that tries one thing after the other. What fails is tried again after all the others.

    A chore that may take long does some of it at a time, and lets those go first that have not begun.
    """

    def __init__(self, troubles: Troubles, fault: Fault) -> None:
        self._troubles = troubles
        self._fault = fault
        self._closing = threading.Event()
        self._changed = threading.Condition()
        self._lines: dict[str, _Line] = {}
        self._thread = threading.Thread(target=self._run, name="chores", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, place: str, name: str, chore: Chore) -> None:
        """Have it done, after what was submitted for the same place before.

        It is called again after a retryable error, and where it says false: there is more to do. Every other error ends
        the service.
        """
        with self._changed:
            self._lines.setdefault(place, _Line()).chores.append((name, chore))
            self._changed.notify()

    @property
    def begun(self) -> list[str]:
        """The places whose chore has begun, and goes on."""
        with self._changed:
            return sorted(place for place, line in self._lines.items() if line.begun)

    @property
    def closing(self) -> bool:
        return self._closing.is_set()

    def close(self, timeout_s: float) -> None:
        self._closing.set()
        with self._changed:
            self._changed.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while (place := self._next()) is not None:
                name, chore = self._lines[place].chores[0]
                self._put_back(place, self._attempt(name, chore))
        except BaseException as error:  # noqa: BLE001  a side task's death ends the service, whatever it died of
            self._fault.set(error)

    def _next(self) -> str | None:
        """Wait for the place that has waited longest of those that are due, and was not tried yet if there is one.

        None when closing.
        """
        with self._changed:
            while not self.closing:
                now = time.monotonic()
                if due := [place for place, line in self._lines.items() if line.due <= now]:
                    return min(due, key=self._is_old)
                soonest = min((line.due - now for line in self._lines.values()), default=None)
                self._changed.wait(soonest)
            return None

    def _is_old(self, place: str) -> bool:
        """What has begun, or failed, takes turns: else what fails slowly would leave none to what goes on."""
        line = self._lines[place]
        return line.begun or line.failures > 0

    def _put_back(self, place: str, done: bool | None) -> None:
        """At the end of all places, if something is left to do there."""
        with self._changed:
            line = self._lines.pop(place)
            if done is None:
                longest_s = min(_FIRST_WAIT_S * 2**line.failures, _LONGEST_WAIT_S)
                line.failures = min(line.failures + 1, 30)
                line.due = time.monotonic() + random.uniform(0, longest_s)  # noqa: S311  spreads, hides nothing
            else:
                line.failures, line.due, line.begun = 0, 0.0, not done
            if done:
                line.chores.popleft()
            if line.chores:
                self._lines[place] = line

    def _attempt(self, name: str, chore: Chore) -> bool | None:
        """What the chore says; None if it failed."""
        try:
            done = chore()
        except TidemarkError as error:
            if not error.retryable:
                raise
            self._troubles.report(name, error.what)
            return None
        self._troubles.clear(name)
        return done
