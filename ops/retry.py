"""Retry policies. Whether to try again is decided by `retryable` alone."""

from __future__ import annotations

from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from ops.log import logger
from ops.stop import Stop
from schemas.errors import TidemarkError

_log = logger(__name__)


def until_stopped(
    stop: Stop, what: str, *, enough: Callable[[float], bool] = lambda _elapsed_s: False, longest_s: float = 15
) -> Retrying:
    """Try again while the error is retryable and `enough(elapsed seconds)` is false, with randomized backoff.

    Sleeping ends early when the stop is requested; then the error comes through.
    """
    return Retrying(
        retry=retry_if_exception(is_retryable),
        wait=wait_random_exponential(multiplier=0.2, max=longest_s),
        stop=lambda state: stop.requested or enough(state.seconds_since_start or 0.0),
        sleep=lambda seconds: _sleep(stop, seconds),
        before_sleep=_announce(what),
        reraise=True,
    )


def is_retryable(error: BaseException) -> bool:
    return isinstance(error, TidemarkError) and error.retryable


def _sleep(stop: Stop, seconds: float) -> None:
    stop.wait(seconds)


def _announce(what: str) -> Callable[[RetryCallState], None]:
    def say(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        # The 1st, 2nd, 4th, 8th … failure: enough to see, too few to fill a disk.
        if state.attempt_number & (state.attempt_number - 1) == 0:
            _log.warning(
                f"{what} failed, trying again",
                action="retry",
                attempt=state.attempt_number,
                reason=str(error),
                hint=getattr(error, "hint", ""),
            )

    return say
