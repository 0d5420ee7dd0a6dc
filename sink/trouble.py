"""What keeps data from moving: waited for, or fatal; told once, not with every attempt."""

from __future__ import annotations

import threading
from typing import Any

from ops.log import logger

_log = logger(__name__)


class Troubles:
    """Named reasons why data does not move at present; `/readyz` is red while there is one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reasons: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def report(self, name: str, reason: str, **context: Any) -> None:
        """It failed (again); logged at the 1st, 2nd, 4th, 8th … time. `reason` must not quote a document."""
        with self._lock:
            self._reasons[name] = reason
            count = self._counts[name] = self._counts.get(name, 0) + 1
        if count & (count - 1) == 0:
            _log.warning(f"{name}: {reason}", action="waiting", attempt=count, **context)

    def clear(self, name: str) -> None:
        """It works again."""
        if name not in self._reasons:
            return
        with self._lock:
            self._reasons.pop(name, None)
            count = self._counts.pop(name, 0)
        _log.info(f"{name}: recovered after {count}", action="recovered", attempts=count)

    @property
    def reason(self) -> str:
        """All reasons in one line; empty when data moves."""
        with self._lock:
            return "; ".join(f"{name}: {reason}" for name, reason in sorted(self._reasons.items()))


class Fault:
    """The first error that ends the service, wherever it happened; the core loop raises it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    def set(self, error: BaseException) -> None:
        with self._lock:
            self._error = self._error or error

    def check(self) -> None:
        """Raise it, if there is one."""
        if self._error is not None:
            raise self._error
