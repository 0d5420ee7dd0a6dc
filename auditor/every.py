"""The audit as a service: again and again, with the same lock, metrics and report as a cron job's run."""

from __future__ import annotations

import time
from collections.abc import Callable

from auditor.round import Done
from auditor.run_context import Context, StoppedError
from ops import service
from ops.health import Health
from ops.log import logger
from ops.settings import Settings
from ops.stop import Stop
from schemas.errors import LockedError

_log = logger(__name__)
_BEAT_S = 5


Once = Callable[[Context], Done]


def serve(settings: Settings, every_s: float, once: Once) -> None:
    """Run until a signal asks it to stop; what an audit finds is in its report and in the metrics."""

    def body(stop: Stop, health: Health) -> None:
        context = Context(settings=settings, stop=stop, beat=health.beat)
        while not stop.requested:
            begun = time.monotonic()
            _round(context, health, once)
            _rest(stop, health, begun + every_s)

    service.run(settings, "audit", settings.service.audit_listen, body)


def _round(context: Context, health: Health, once: Once) -> None:
    try:
        report, refused, undelivered = once(context)
    except LockedError as error:
        _log.warning("another audit is running, this round is its", action="audit_locked", reason=str(error))
        return
    except StoppedError:
        return  # what an unfinished audit found is not reported
    if refused is not None and not isinstance(refused, StoppedError):
        _log.error("the repair was not done; the next round tries again", action="repair_refused", code=refused.code,
                   reason=str(refused), hint=refused.hint)  # fmt: skip
    health.details = lambda: {
        "audit": report.id,
        "status": report.status.value,
        "reason": report.reason,
        "finished": report.finished.isoformat(),
        "findings": sum(sum(table.counts.values()) for table in report.tables),
        "repair": "" if refused is None else str(refused),
        "undelivered": "" if undelivered is None else str(undelivered),
    }
    health.up()


def _rest(stop: Stop, health: Health, until: float) -> None:
    while not stop.requested and (left := until - time.monotonic()) > 0:
        health.beat()
        stop.wait(min(_BEAT_S, left))
