"""One round of `audit run`: audit, keep the report, repair, hand the report over. One at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from auditor import proven, shelf
from auditor.against import against_binlog, against_mysql
from auditor.audit import NotCapturedError, audit, new_id, red
from auditor.lock import locked
from auditor.outputs import Outputs
from auditor.repair import repair
from auditor.run_context import Context
from auditor.since import Since
from ops.log import logger
from schemas.errors import TidemarkError
from schemas.report import Against, AuditReport, AuditStatus

_log = logger(__name__)


class Done(NamedTuple):
    """One round.

    `refused`: why its repair could not be done, or not to its end; `undelivered`: why the report did not get
    everywhere.
    """

    report: AuditReport
    refused: TidemarkError | None = None
    undelivered: TidemarkError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What is done each time."""

    tables: Sequence[str] = ()
    partitions: frozenset[int] | None = None
    deep: bool = False
    since: Since | None = None
    against: Against = Against.TOPIC
    with_repair: bool = False
    apply: bool = False

    def once(self, context: Context, outputs: Outputs) -> Done:
        """A repair that refuses takes nothing away from what was found.

        Raises what the audit could not get over, after everybody was told that nothing is proven.
        """
        started = datetime.now(UTC)
        context = replace(context, partitions=self.partitions, deep=self.deep, since=self.since)
        with locked(context.settings.source.name):
            try:
                report = self._audit(context)
            except Exception as error:
                self._fail(context, outputs, started, error)
                raise
            unkept = _kept(report)
            report, refused = self._repair(context, report)
            if report.repair is not None:
                unkept = _tried(shelf.keep, report) or unkept
            return Done(report, refused, outputs.deliver(report) or unkept)

    def _audit(self, context: Context) -> AuditReport:
        if self.against is Against.MYSQL:
            return against_mysql(context, self.tables)
        return against_binlog(context, self.tables) if self.against is Against.BINLOG else audit(context, self.tables)

    def _repair(self, context: Context, report: AuditReport) -> tuple[AuditReport, TidemarkError | None]:
        if not self.with_repair or not red(report):
            return report, None
        try:
            return report.model_copy(update={"repair": repair(context, report, apply=self.apply)}), None
        except TidemarkError as error:
            return report, error

    def _fail(self, context: Context, outputs: Outputs, started: datetime, error: Exception) -> None:
        """Files and metrics of an earlier audit would look as if they were about this one. There is nothing to keep."""
        reason = str(error) if isinstance(error, TidemarkError) else f"internal error: {type(error).__name__}"
        report = AuditReport(
            id=new_id(started), name=context.settings.source.name, against=self.against,
            status=AuditStatus.INCONCLUSIVE, reason=f"the audit came to no end: {reason}", started=started,
            finished=datetime.now(UTC), tables=[],
        )  # fmt: skip
        # A table that is none says nothing of others, unless they were to be audited with it.
        mistyped = len(self.tables) == 1 and isinstance(error, NotCapturedError)
        outputs.deliver(report, keep=False, measure=not mistyped)


def _kept(report: AuditReport) -> TidemarkError | None:
    """It is kept, and what it has proven, for later audits; whatever becomes of that, its findings are told."""
    unnoted = _tried(proven.note, report)
    return _tried(shelf.keep, report) or unnoted


def _tried(keep: Callable[[AuditReport], object], report: AuditReport) -> TidemarkError | None:
    try:
        keep(report)
    except TidemarkError as error:
        _log.error("the report cannot be kept", action="report_not_kept", code=error.code, reason=str(error),
                   hint=error.hint)  # fmt: skip
        return error
    return None


def left(report: AuditReport) -> AuditStatus:
    """What was found and then repaired is not left."""
    done = report.repair
    if done is not None and done.applied and report.status is AuditStatus.FINDINGS:
        return done.status
    return report.status
