"""Audits that do not believe the topic: the index beside MySQL, and the topic beside the binlog."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from auditor import bounded
from auditor.against_binlog import BinlogAudit
from auditor.audit import count, find_subjects, new_id
from auditor.mysql_subject import MysqlSubject
from auditor.run_context import Context, StoppedError
from auditor.table_audit import Subject
from ops.log import logger
from schemas.cost import Cost
from schemas.errors import TidemarkError
from schemas.report import Against, AuditReport, AuditStatus, TableReport

_log = logger(__name__)


def against_mysql(context: Context, wanted: Sequence[str] = ()) -> AuditReport:
    """Compare the index of these tables, or of all that are captured, with MySQL.

    Raises as `auditor.audit.audit` does.
    """
    started = datetime.now(UTC)
    client = bounded.client(context)
    try:
        tables = [MysqlSubject(context, client, subject).run() for subject in find_subjects(context, wanted)]
    finally:
        client.close()
    return _report(context, Against.MYSQL, started, tables)


def against_binlog(context: Context, wanted: Sequence[str] = ()) -> AuditReport:
    """Compare the topics of these tables, or of all that are captured, with the binlog.

    Raises as `auditor.audit.audit` does.
    """
    started = datetime.now(UTC)
    subjects = find_subjects(context, wanted)
    audit = BinlogAudit(context, subjects)
    reason = ""
    try:
        audit.run()
    except StoppedError:
        raise
    except TidemarkError as error:
        reason = f"{error}. {error.hint}" if error.hint else str(error)
        _log.warning("the binlog could not be compared", action="audit_inconclusive", code=error.code, reason=reason)
    tables = [_logged(audit, subject, audit.reasons.get(subject.table, reason)) for subject in subjects]
    return _report(context, Against.BINLOG, started, tables)


def _logged(audit: BinlogAudit, subject: Subject, reason: str) -> TableReport:
    counts = audit.counts.get(subject.table, Counter())
    findings = audit.findings.get(subject.table, [])
    gray = AuditStatus.INCONCLUSIVE if reason else AuditStatus.CLEAN
    return TableReport(
        table=subject.table,
        topic=subject.topic,
        topic_id=subject.topic_id or "",
        alias=subject.alias,
        index="",
        status=AuditStatus.FINDINGS if counts else gray,
        reason=reason,
        since=audit.since[subject.table].isoformat() if subject.table in audit.since else "",
        keys=audit.keys.get(subject.table, 0),
        counts=dict(counts),
        findings=findings,
        findings_cut=sum(counts.values()) > len(findings),
        cost=Cost(events=audit.events.get(subject.table, 0)),
    )


def _report(context: Context, against: Against, started: datetime, tables: list[TableReport]) -> AuditReport:
    status, reason = _verdict(tables)
    report = AuditReport(
        id=new_id(started),
        name=context.settings.source.name,
        against=against,
        status=status,
        reason=reason,
        started=started,
        finished=datetime.now(UTC),
        tables=tables,
    )
    count(report)
    return report


def _verdict(tables: Sequence[TableReport]) -> tuple[AuditStatus, str]:
    """Findings win over inconclusive; an audit that checked nothing at all is inconclusive."""
    if any(table.status is AuditStatus.FINDINGS for table in tables):
        return AuditStatus.FINDINGS, ""
    unproven = [table for table in tables if table.status is AuditStatus.INCONCLUSIVE]
    if unproven:
        return AuditStatus.INCONCLUSIVE, "; ".join(f"{table.table}: {table.reason}" for table in unproven)
    if not any(table.keys for table in tables):
        return AuditStatus.INCONCLUSIVE, "nothing was checked: no captured table has anything in it"
    return AuditStatus.CLEAN, ""
