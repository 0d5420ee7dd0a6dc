"""Repair: what a report found is judged again, mended in Elasticsearch, and judged once more."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from auditor import bounded
from auditor.audit import find_subjects
from auditor.run_context import Context
from auditor.table_repair import TableRepair
from auditor.words import REPAIRABLE
from ops.log import logger
from schemas.errors import RepairCapError, ReportOutdatedError, UsageError
from schemas.report import (
    Against,
    AuditReport,
    AuditStatus,
    Finding,
    FindingClass,
    Repair,
    RepairOutcome,
    RepairReport,
    TableReport,
)

_log = logger(__name__)
_FEW = 100  # documents, of which no share is too large: of a small table, or of what has changed since yesterday
_WHY_LEFT = {
    FindingClass.FOREIGN: "no event of this topic made it, so none can mend it: delete it by hand if nobody needs it",
    FindingClass.DEAD_LETTERED: "Elasticsearch refused its last event, and would again",
}


def repair(context: Context, report: AuditReport, *, apply: bool) -> RepairReport:
    """Mend what the report names; without `apply` only say what would be written.

    Raises `RepairCapError` before the first write if that is more than the configuration allows,
    `ReportOutdatedError` if a topic or index is not the one that was audited, `UsageError` for a report that was not
    about the topic.
    """
    started = datetime.now(UTC)
    if report.against is not Against.TOPIC:
        raise UsageError(
            f"what an audit against {report.against.value} found, the topic cannot mend",
            hint="Run `tidemark audit run` and repair what it finds; then find out why the rest is not in the topic.",
        )
    if report.name != context.settings.source.name:
        raise ReportOutdatedError(
            f"the report is about `{report.name}`, the configuration about `{context.settings.source.name}`"
        )
    try:
        _check_caps(context, report)
    except RepairCapError as error:
        if apply:
            raise
        _log.warning("with --apply this is refused", action="repair_cap", reason=str(error), hint=error.hint)
    repairs = _repairs(context, report, apply=apply)
    counts = Counter(repair.outcome for repair in repairs)
    return RepairReport(
        name=report.name,
        report=report.id,
        applied=apply,
        status=_status(repairs, report),
        started=started,
        finished=datetime.now(UTC),
        repaired=counts[RepairOutcome.REPAIRED],
        counts=dict(counts),
        repairs=repairs,
    )


def _check_caps(context: Context, report: AuditReport) -> None:
    """The number is of all tables together; the share of each: a large one hides no other of which all would go."""
    settings = context.settings.audit
    wrong = sum(map(_wrong, report.tables))
    if wrong > settings.max_repairs:
        raise RepairCapError(
            f"{wrong} documents would be repaired, at most {settings.max_repairs} are allowed at once",
            hint="Find out what happened first; then raise [audit] max_repairs, or rebuild the index.",
        )
    for table in report.tables:
        keys = sum(window.keys + window.deleted for window in table.windows)
        wrong = _wrong(table)
        # Documents from before the window are none of its keys: there may be more of them. A share of 1 allows all.
        if wrong > max(_FEW, settings.max_repair_share * max(keys, wrong)):
            raise RepairCapError(
                f"{wrong} documents of a table with {keys} audited keys would be repaired, "
                f"more than a share of {settings.max_repair_share}",
                where=table.table,
                hint="Find out what happened first; then raise [audit] max_repair_share, or rebuild the index.",
            )


def _wrong(table: TableReport) -> int:
    return sum(table.counts.get(kind, 0) for kind in REPAIRABLE)


def _repairs(context: Context, report: AuditReport, *, apply: bool) -> list[Repair]:
    made = [_left(finding) for finding in report.findings(*_WHY_LEFT)]
    tables = [table for table in report.tables if _repairable(table)]
    named = [glob.escape(table.table) for table in tables]  # these, and none that a pattern would find as well
    subjects = {subject.table: subject for subject in find_subjects(context, named)}
    client = bounded.client(context)
    try:
        for table in tables:
            with TableRepair(context, client, subjects[table.table], table) as one:
                made += one.mend(_repairable(table), apply=apply)
    finally:
        client.close()
    return made


def _repairable(table: TableReport) -> list[Finding]:
    return [finding for finding in table.findings if finding.class_ in REPAIRABLE]


def _left(finding: Finding) -> Repair:
    return Repair.model_validate(
        {
            "class": finding.class_,
            "table": finding.table,
            "document": finding.document,
            "id": finding.id,
            "outcome": RepairOutcome.LEFT,
            "reason": _WHY_LEFT[finding.class_],
        }
    )


def _status(repairs: Sequence[Repair], report: AuditReport) -> AuditStatus:
    """Clean if everything that is wrong was mended, or has mended itself, and every table was proven."""
    open_ = [
        repair
        for repair in repairs
        if repair.outcome in (RepairOutcome.PLANNED, RepairOutcome.FAILED)
        or (repair.outcome is RepairOutcome.LEFT and repair.class_ is not FindingClass.DEAD_LETTERED)
    ]
    if open_ or any(table.findings_cut for table in report.tables):
        return AuditStatus.FINDINGS
    # A table with findings has a reason too if an error ended its audit: the rest of it was not looked at.
    unproven = any(table.status is AuditStatus.INCONCLUSIVE or table.reason for table in report.tables)
    return AuditStatus.INCONCLUSIVE if unproven else AuditStatus.CLEAN
