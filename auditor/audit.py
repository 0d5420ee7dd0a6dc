"""A whole audit: which tables, one after the other, and what they add up to."""

from __future__ import annotations

import fnmatch
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from elasticsearch import Elasticsearch

from auditor import bounded
from auditor.findings import RED
from auditor.finished import Finished
from auditor.requests import Requests
from auditor.run_context import Context
from auditor.table_audit import Subject, TableAudit
from ops import metrics
from ops.catalog import Catalog
from ops.kafka import admin, topic_ids
from ops.log import logger
from ops.settings import Settings
from ops.shapes import Shapes
from schemas import names
from schemas.errors import UsageError
from schemas.extension import reader
from schemas.report import AuditReport, AuditStatus, TableReport
from schemas.table import Table

_log = logger(__name__)


class NotCapturedError(UsageError):
    """No captured table has a name that was given: nothing was audited."""


def audit(context: Context, wanted: Sequence[str] = ()) -> AuditReport:
    """Audit these tables, or all that are captured.

    Raises `UnreachableError` and `RefusedError` while it gets ready; afterwards what a table's audit stumbles over is
    that table's reason to be inconclusive. Raises `UsageError` for a table that is not captured.
    """
    started = datetime.now(UTC)
    read_by = reader(foreign=context.settings.sink.format == "debezium")
    _log.info(str(read_by), action="records", reader=read_by.name)
    client = bounded.client(context)
    try:
        subjects = find_subjects(context, wanted)
        _check_since(context, subjects)
        _reach(context, client, subjects)
        tables = _each(context, client, subjects)
    finally:
        client.close()
    status, reason = verdict(tables)
    report = AuditReport(
        id=new_id(started),
        name=context.settings.source.name,
        status=status,
        reason=reason,
        started=started,
        finished=datetime.now(UTC),
        tables=tables,
    )
    count(report)
    return report


def new_id(started: datetime) -> str:
    """Ids sort as the audits' beginnings do, also in one second: five digits are microseconds, one is any."""
    return f"{started:%Y%m%dT%H%M%S}-{started.microsecond:05x}{secrets.token_hex(1)[0]}"


def find_subjects(context: Context, wanted: Sequence[str] = ()) -> list[Subject]:
    """The captured tables by those names or patterns, with their topics' ids."""
    settings = context.settings
    with Catalog(settings, context.client_id) as catalog:
        catalog.refresh()
        tables = _choose(catalog.latest, wanted)
    shapes = Shapes(settings.sink)
    topics = [table.topic for table in tables]
    ids = topic_ids(admin(settings.kafka, context.client_id), topics, settings.kafka.bootstrap_servers)
    return [
        Subject(
            table=table.full_name,
            topic=table.topic,
            topic_id=ids.get(table.topic),
            alias=alias_of(settings, table),
            shape=shapes.of(table),
            layout=table,
        )
        for table in tables
    ]


def alias_of(settings: Settings, table: Table) -> str:
    """The alias that the configuration names, or the topic's."""
    special = settings.sink.tables.get(table.full_name)
    return (special.index if special else None) or names.alias(table.topic)


def _choose(latest: Mapping[str, Table], wanted: Sequence[str]) -> list[Table]:
    chosen: set[str] = set()
    for pattern in wanted:
        # A name may hold what has a meaning in patterns: `shop.a[1]`.
        named = [pattern] if pattern in latest else fnmatch.filter(latest, pattern)
        if not named:
            raise NotCapturedError(
                f"`{pattern}` is no captured table",
                hint=f"Captured: {', '.join(sorted(latest)) or 'none yet'}.",
            )
        chosen.update(named)
    return [latest[name] for name in sorted(chosen if wanted else latest)]


def _check_since(context: Context, subjects: Sequence[Subject]) -> None:
    if context.since is not None and context.since.offsets is not None and len(subjects) > 1:
        raise UsageError(
            f"offsets are of one topic, and {len(subjects)} tables were chosen", where=f"--since {context.since.text}",
            hint="Name one table: `tidemark audit run shop.orders --since 0:1200,1:900`.",
        )  # fmt: skip


def _reach(context: Context, client: Elasticsearch, subjects: Sequence[Subject]) -> None:
    if subjects:
        Requests(context).send("Elasticsearch", lambda: client.indices.exists(index=subjects[0].alias))


def _each(context: Context, client: Elasticsearch, subjects: Sequence[Subject]) -> list[TableReport]:
    if len(subjects) == 1 or not context.resumable:
        return [_one(context, client, subject) for subject in subjects]
    finished = Finished(context, client)
    tables = [finished.of(subject, partial(_one, context, client, subject)) for subject in subjects]
    finished.forget()
    return tables


def _one(context: Context, client: Elasticsearch, subject: Subject) -> TableReport:
    report = TableAudit(context, client, subject).run()
    _log.info(
        "audited a table",
        action="audited",
        table=report.table,
        status=report.status.value,
        keys=report.keys,
        findings=sum(report.counts.values()),
        requests=report.cost.requests,
        seconds=report.cost.seconds,
    )
    return report


def verdict(tables: Iterable[TableReport]) -> tuple[AuditStatus, str]:
    """Findings win over inconclusive; an audit that checked nothing at all is inconclusive.

    A table that is empty on both sides is right; only where every table is, was nothing checked.
    """
    reports = list(tables)
    if any(report.status is AuditStatus.FINDINGS for report in reports):
        return AuditStatus.FINDINGS, ""
    unproven = [report for report in reports if report.status is AuditStatus.INCONCLUSIVE]
    if unproven:
        return AuditStatus.INCONCLUSIVE, "; ".join(f"{report.table}: {report.reason}" for report in unproven)
    if not reports:
        return AuditStatus.INCONCLUSIVE, "nothing was checked: no table is captured yet"
    if not any(report.compared for report in reports):
        since = next((f" since {report.since}" for report in reports if report.since), "")
        return AuditStatus.INCONCLUSIVE, f"nothing was checked: no table has a single key in its topic{since}"
    return AuditStatus.CLEAN, ""


def count(report: AuditReport) -> None:
    """Into the metrics of the process; what the report says is in `auditor.report_metrics`."""
    for table in report.tables:
        metrics.AUDIT_KEYS.labels(table.table).inc(table.keys)


def red(report: AuditReport) -> int:
    """How many documents are wrong without an explanation."""
    return sum(table.counts.get(kind, 0) for table in report.tables for kind in RED)
