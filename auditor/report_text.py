"""The report for a person: what is wrong, how much of it, examples, what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from ops.log import clean
from schemas.report import (
    AuditReport,
    AuditStatus,
    Expected,
    Finding,
    FindingClass,
    Found,
    RepairOutcome,
    RepairReport,
    TableReport,
)

_EXAMPLES = 5
_COLOUR = {AuditStatus.CLEAN: "bold green", AuditStatus.FINDINGS: "bold red", AuditStatus.INCONCLUSIVE: "bold yellow"}
_MEANING = {
    FindingClass.MISSING: "a row whose document is not there",
    FindingClass.ORPHAN: "a document whose row was deleted",
    FindingClass.STALE: "a document that is older than its row's last change",
    FindingClass.FOREIGN: "a document that no row of this topic made",
    FindingClass.TAMPERED: "a document whose _version somebody else raised",
    FindingClass.CONTENT: "a document whose fields are not what its row's last change says",
    FindingClass.UNPUBLISHED: "a row change that is not in the topic",
    FindingClass.UNLOGGED: "an event of no row change",
    FindingClass.DUPLICATE: "a row change that is in the topic more than once",
    FindingClass.DEAD_LETTERED: "explained: Elasticsearch refused the row's last change",
}


def show(report: AuditReport, console: Console) -> None:
    """Print it."""
    console.print(_text(report), soft_wrap=True)


def _text(report: AuditReport) -> RenderableType:
    parts: list[RenderableType] = [_headline(report)]
    if report.tables:
        parts.append(_grid(report))
    for table in report.tables:
        parts += _details(table)
    parts += [Text(f"next: {line}", style="bold") for line in _next(report)]
    if report.repair is not None:
        parts.append(_repair(report.repair))
    return Group(*parts)


def _headline(report: AuditReport) -> Text:
    wrong = sum(count for table in report.tables for kind, count in table.counts.items() if _is_red(kind))
    keys = sum(table.keys for table in report.tables)
    said = {
        AuditStatus.CLEAN: f"CLEAN: {keys:,} documents are as the topics say",
        AuditStatus.FINDINGS: f"FINDINGS: {wrong:,} documents are wrong, of {keys:,} that should be there",
        AuditStatus.INCONCLUSIVE: f"INCONCLUSIVE: {clean(report.reason)}",
    }[report.status]
    took_s = (report.finished - report.started).total_seconds()
    about = f"\naudit {report.id} of `{report.name}`, {report.finished:%Y-%m-%d %H:%M:%S} UTC, {took_s:.1f} s\n"
    return Text.assemble((said, _COLOUR[report.status]), (about, "dim"))


def _is_red(kind: FindingClass) -> bool:
    return kind is not FindingClass.DEAD_LETTERED


def _grid(report: AuditReport) -> Grid:
    kinds = [kind for kind in FindingClass if any(table.counts.get(kind) for table in report.tables)]
    grid = Grid("table", "status", "keys", *(kind.value for kind in kinds), "requests", box=None, pad_edge=False)
    for column in grid.columns[2:]:
        column.justify = "right"
    for table in report.tables:
        counts = [f"{table.counts.get(kind, 0):,}" for kind in kinds]
        status = Text(table.status.value, _COLOUR[table.status])
        grid.add_row(Text(clean(table.table)), status, f"{table.keys:,}", *counts, f"{table.cost.requests:,}")
    return grid


def _details(table: TableReport) -> Iterator[RenderableType]:
    if table.reason:
        yield Text.assemble("\n", (clean(table.table), "bold"), f": {clean(table.reason)}")
    for kind in FindingClass:
        count = table.counts.get(kind, 0)
        if not count:
            continue
        yield Text.assemble("\n", (f"{clean(table.table)}: {count:,} {kind.value}", "bold"), f" ({_MEANING[kind]})")
        examples = [finding for finding in table.findings if finding.class_ is kind]
        yield from (_example(finding) for finding in examples[:_EXAMPLES])
        if count > _EXAMPLES:
            yield Text(f"  … and {count - min(_EXAMPLES, len(examples)):,} more", style="dim")


def _example(finding: Finding) -> Text:
    return Text.assemble(
        "  ",
        (clean(finding.document), "cyan"),
        f"  should be: {_should(finding.expected)}; is: {_is(finding.found)}",
    )


def _should(expected: Expected | None) -> str:
    if expected is None:
        return "absent (the topic knows nothing of it)"
    at = f"partition {expected.partition} offset {expected.offset}, committed {_time(expected.commit_ts_ms)}"
    if expected.op in ("d", "t"):
        return f"absent since {at}"
    return f"the change at {at}"


def _is(found: Found | None) -> str:
    if found is None:
        return "absent"
    if found.offset is None:
        return f"without a _cdc of ours (_version {found.version})"
    return f"the change at partition {found.partition} offset {found.offset} (_version {found.version})"


def _time(ts_ms: int) -> str:
    return f"{datetime.fromtimestamp(ts_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _next(report: AuditReport) -> Iterator[str]:
    found = {kind for table in report.tables for kind, count in table.counts.items() if count}
    if report.repair is None and found - {FindingClass.FOREIGN, FindingClass.DEAD_LETTERED}:
        yield "`tidemark audit repair` shows what a repair would write, `--apply` writes it"
    if FindingClass.FOREIGN in found:
        yield "foreign documents are never touched: find out who writes to the index, then delete them by hand"
    if FindingClass.DEAD_LETTERED in found:
        yield "read the reasons in the dead-letter topic; a later good change of such a row heals it"
    if report.status is AuditStatus.INCONCLUSIVE:
        yield "mend the reason above and run the audit again: nothing is proven until then"


def show_repair(report: RepairReport, console: Console) -> None:
    """Print what a repair did, or would do."""
    console.print(_repair(report), soft_wrap=True)


def _repair(report: RepairReport) -> RenderableType:
    said = ", ".join(f"{count:,} {outcome.value}" for outcome, count in report.counts.items() if count) or "nothing"
    colour = "bold green" if report.status is AuditStatus.CLEAN else "bold yellow"
    parts = [Text.assemble((f"repair of audit {report.report}: {said}", colour))]
    for outcome in (RepairOutcome.FAILED, RepairOutcome.PLANNED, RepairOutcome.LEFT):
        chosen = [repair for repair in report.repairs if repair.outcome is outcome]
        for repair in chosen[:_EXAMPLES]:
            why = f": {clean(repair.reason)}" if repair.reason else ""
            parts.append(Text(f"  {outcome.value} {repair.class_.value} {clean(repair.document)}{why}"))
        if len(chosen) > _EXAMPLES:
            parts.append(Text(f"  … and {len(chosen) - _EXAMPLES:,} more {outcome.value}", style="dim"))
    if not report.applied and report.counts.get(RepairOutcome.PLANNED):
        parts.append(Text("next: this was a dry run; `tidemark audit repair --apply` writes it", style="bold"))
    return Group(*parts)
