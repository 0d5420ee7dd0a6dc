"""The life of a service: logging, health, signals, start time-out, retry for ever, one deadline for the end."""

from __future__ import annotations

import gc
import os
import random
import threading
from collections.abc import Callable
from typing import Literal

from ops.health import Health, HealthServer
from ops.log import configure, logger
from ops.retry import until_stopped
from ops.settings import Settings
from ops.stop import Stop
from schemas.errors import ExitCode, TidemarkError

_log = logger(__name__)

_PAUSE_S = (0.1, 0.5)  # many services may have lost the same server at once

Body = Callable[[Stop, Health], None]


def run(settings: Settings, service: Literal["cdc", "sink", "audit"], listen: str, body: Body) -> None:
    """Run `body` until a signal asks it to stop; it is called again after a retryable error.

    Before it was ready for the first time, retryable errors are tried for `start_timeout_s`; after that for ever,
    with `/readyz` red. Every other error comes through.
    """
    gc.freeze()  # what was imported stays for good: there is nothing in it to collect
    configure(settings.service.log_format, settings.service.log_level, service=service, pipeline=settings.source.name)
    stop = Stop(settings.service.stop_timeout_s)
    stop.install()
    health = Health(service, settings.source.name)
    server = HealthServer(health, listen)
    server.start()
    _watch(stop)
    try:
        keep_going(settings, stop, health, body)
    except TidemarkError as error:
        if not (stop.requested and error.retryable):
            health.down(str(error), "failed")
            raise
    finally:
        server.stop()
    _log.info("stopped", action="stopped", reason=stop.reason)


def keep_going(settings: Settings, stop: Stop, health: Health, body: Body) -> None:
    """Call `body` until the stop is requested, again after every retryable error, as `run` says."""
    while not stop.requested:
        ups = health.ups

        def enough(elapsed_s: float, ups: int = ups) -> bool:
            # Once it ran, a new failure begins a new series with short waits; before, time is limited.
            late = not health.ups and elapsed_s >= settings.service.start_timeout_s
            return late or health.ups > ups

        try:
            until_stopped(stop, f"{health.service} run", enough=enough)(_once, stop, health, body)
        except TidemarkError as error:
            if stop.requested or not error.retryable or health.ups == ups:
                raise
            _log.warning("interrupted, starting over", action="restart", reason=str(error), hint=error.hint)
            stop.wait(random.uniform(*_PAUSE_S))  # noqa: S311 - no secret
        else:
            return


def _once(stop: Stop, health: Health, body: Body) -> None:
    try:
        body(stop, health)
    except TidemarkError as error:
        health.down(str(error), "stopping" if stop.requested else "running")
        raise


def _watch(stop: Stop) -> None:
    """What is not finished at the deadline is abandoned: everything unfinished is done again at the next start."""

    def wait() -> None:
        while not stop.wait(60):
            pass
        threading.Event().wait(max(0.0, stop.remaining_s - 1))
        _log.warning("stopping took too long, the open batch is abandoned", action="stop_deadline", reason=stop.reason)
        os._exit(ExitCode.OK)

    threading.Thread(target=wait, name="stop-watchdog", daemon=True).start()
