"""Work beside the lanes that may take long: looking into an index, deleting below a barrier."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from functools import partial

from schemas.errors import TidemarkError
from sink.patience import until_done
from sink.trouble import Fault, Troubles

Chore = Callable[[], None]


class Chores:
    """One thread that does one thing after the other, each until it works."""

    def __init__(self, troubles: Troubles, fault: Fault) -> None:
        self._troubles = troubles
        self._fault = fault
        self._closing = threading.Event()
        self._queue: queue.SimpleQueue[tuple[str, Chore] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="chores", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, name: str, chore: Chore) -> None:
        """Have it done; it is called again after a retryable error, every other one ends the service."""
        self._queue.put((name, chore))

    @property
    def closing(self) -> bool:
        return self._closing.is_set()

    def close(self, timeout_s: float) -> None:
        self._closing.set()
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while (entry := self._queue.get()) is not None and not self.closing:
                name, chore = entry
                until_done(self._closing, partial(self._attempt, name, chore))
        except BaseException as error:  # noqa: BLE001  a side task's death ends the service, whatever it died of
            self._fault.set(error)

    def _attempt(self, name: str, chore: Chore) -> bool:
        try:
            chore()
        except TidemarkError as error:
            if not error.retryable:
                raise
            self._troubles.report(name, error.what)
            return False
        self._troubles.clear(name)
        return True
