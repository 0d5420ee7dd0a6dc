"""A one-off audit ends in order when it is asked to: its files and metrics then say that it did not finish."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from ops.stop import Stop
from schemas.errors import ExitCode

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def interruptible(stop: Stop) -> Iterator[None]:
    """SIGTERM and SIGINT ask to stop, a second one ends the process; main thread only."""

    def ask(number: int, _frame: object) -> None:
        if stop.requested:
            os._exit(ExitCode.INTERRUPTED)
        stop.request(signal.Signals(number).name)

    before = {number: signal.signal(number, ask) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
