"""Trying again for ever, until the sink closes: waits grow at random while nothing gets less."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from tenacity import Retrying, retry_if_result, wait_random_exponential

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 10


def until_done(closing: threading.Event, attempt: Callable[[], int]) -> None:
    """Call `attempt` until nothing is left or the sink closes. It returns how much is left; exceptions come through.

    When that is less than before, the next wait is as short as the first.
    """
    left = attempt()
    while left and not closing.wait(random.uniform(0, _FIRST_WAIT_S)):  # noqa: S311  spreads, hides nothing
        left = _until_less(closing, attempt, left)


def _until_less(closing: threading.Event, attempt: Callable[[], int], left: int) -> int:
    """How much is left then."""
    found: int = Retrying(
        retry=retry_if_result(lambda now: now >= left),
        wait=wait_random_exponential(multiplier=_FIRST_WAIT_S, max=_LONGEST_WAIT_S),
        stop=lambda _state: closing.is_set(),
        sleep=lambda seconds: _wait(closing, seconds),
        retry_error_callback=lambda _state: left,
    )(attempt)
    return found


def _wait(closing: threading.Event, seconds: float) -> None:
    closing.wait(seconds)
