"""The report for a person: what is wrong, how much of it, examples, what to do next."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from auditor import words
from ops.log import clean
from schemas.audits import AuditList
from schemas.report import AuditReport, AuditStatus, Finding, FindingClass, RepairOutcome, RepairReport, TableReport

_EXAMPLES = 5
_COLOUR = {AuditStatus.CLEAN: "bold green", AuditStatus.FINDINGS: "bold red", AuditStatus.INCONCLUSIVE: "bold yellow"}


def show(report: AuditReport, console: Console) -> None:
    """Print it."""
    console.print(_text(report), soft_wrap=True)


def _text(report: AuditReport) -> RenderableType:
    parts: list[RenderableType] = [_headline(report)]
    if report.tables:
        parts.append(_grid(report))
    for table in report.tables:
        parts += _details(table)
    parts += [Text(f"next: {line}", style="bold") for line in words.advice(report)]
    if report.repair is not None:
        parts.append(_repair(report.repair))
    return Group(*parts)


def _headline(report: AuditReport) -> Text:
    return Text.assemble((words.headline(report), _COLOUR[report.status]), (f"\n{words.about(report)}\n", "dim"))


def _grid(report: AuditReport) -> Grid:
    kinds = words.kinds(report.tables)
    grid = Grid("table", "status", "keys", *(kind.value for kind in kinds), "requests", box=None, pad_edge=False)
    for column in grid.columns[2:]:
        column.justify = "right"
    for table in report.tables:
        counts = [f"{table.counts.get(kind, 0):,}" for kind in kinds]
        status = Text(words.status(table), _COLOUR[table.status] if table.compared or table.reason else "dim")
        grid.add_row(Text(clean(table.table)), status, f"{table.keys:,}", *counts, f"{table.cost.requests:,}")
    return grid


def _details(table: TableReport) -> Iterator[RenderableType]:
    if part := words.part(table):
        yield Text.assemble("\n", (clean(table.table), "bold"), f": {part} were audited")
    for said in words.unjudged(table):
        yield Text.assemble("\n", (clean(table.table), "bold"), f": {said}")
    if table.reason:
        yield Text.assemble("\n", (clean(table.table), "bold"), f": {clean(table.reason)}")
    for kind in FindingClass:
        count = table.counts.get(kind, 0)
        if not count:
            continue
        what = (f"{clean(table.table)}: {count:,} {kind.value}", "bold")
        yield Text.assemble("\n", what, f" ({words.MEANING[kind]})")
        examples = [finding for finding in table.findings if finding.class_ is kind]
        yield from (_example(finding) for finding in examples[:_EXAMPLES])
        if count > _EXAMPLES:
            yield Text(f"  … and {count - min(_EXAMPLES, len(examples)):,} more", style="dim")


def _example(finding: Finding) -> Text:
    return Text.assemble(
        "  ",
        (clean(finding.document), "cyan"),
        f"  should be: {words.should(finding)}; is: {words.holds(finding)}{words.differing(finding)}",
    )


def show_list(found: AuditList, console: Console) -> None:
    """Print which audits are kept, and where."""
    grid = Grid("audit", "status", "began (UTC)", "tables", "keys", "findings", "kept", box=None, pad_edge=False)
    for kept in found.audits:
        one = kept.audit
        places = [place for place, there in (("here", kept.here), (found.index, kept.in_index)) if there]
        counts = ", ".join(f"{count:,} {kind.value}" for kind, count in one.counts.items() if count)
        status = Text(one.status.value + ("" if one.whole else ", a part"), _COLOUR[one.status])
        grid.add_row(one.id, status, f"{one.started:%Y-%m-%d %H:%M:%S}", str(len(one.tables)), f"{one.keys:,}", counts,
                     ", ".join(places))  # fmt: skip
    console.print(grid if found.audits else Text("no audit is kept"), soft_wrap=True)


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
