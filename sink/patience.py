"""Trying again for ever, with randomized exponential waits, until the sink closes."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tenacity import Retrying, retry_if_result, wait_random_exponential

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 10


def until_done(closing: threading.Event, attempt: Callable[[], bool]) -> bool:
    """Call `attempt` until it returns true; false if the sink closed first. Its exceptions come through."""
    return bool(
        Retrying(
            retry=retry_if_result(lambda done: not done),
            wait=wait_random_exponential(multiplier=_FIRST_WAIT_S, max=_LONGEST_WAIT_S),
            stop=lambda _state: closing.is_set(),
            sleep=lambda seconds: _wait(closing, seconds),
            retry_error_callback=lambda _state: False,
        )(attempt)
    )


def _wait(closing: threading.Event, seconds: float) -> None:
    closing.wait(seconds)
