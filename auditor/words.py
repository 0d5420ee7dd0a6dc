"""What a report says in sentences, on a terminal and on a page alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby

from auditor.findings import RED
from ops.log import clean
from schemas.report import Against, AuditReport, AuditStatus, Finding, FindingClass, TableReport

MEANING = {
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
_OF_BINLOG = {
    FindingClass.UNPUBLISHED: "in the topic",
    FindingClass.UNLOGGED: "in the binlog",
    FindingClass.DUPLICATE: "once in the topic",
}
_FIELDS = 3  # whose values are told
_VALUE = 40
REPAIRABLE = (
    FindingClass.MISSING,
    FindingClass.ORPHAN,
    FindingClass.STALE,
    FindingClass.TAMPERED,
    FindingClass.CONTENT,
)


_HEADLINES = {
    Against.TOPIC: (
        "{keys:,} documents are as the topics say",
        "{wrong:,} documents are wrong, of {keys:,} that should be there",
    ),
    Against.MYSQL: (
        "the documents of {keys:,} rows are as MySQL says",
        "{wrong:,} documents are wrong, beside {keys:,} rows in MySQL",
    ),
    Against.BINLOG: (
        "{keys:,} row changes of the binlog are in the topics, each of them once",
        "{wrong:,} row changes are on one side only, or twice, of {keys:,} in the binlog",
    ),
}


def headline(report: AuditReport) -> str:
    """The verdict in one line."""
    wrong = sum(count for table in report.tables for kind, count in table.counts.items() if kind in RED)
    keys = sum(table.keys for table in report.tables)
    if report.status is AuditStatus.INCONCLUSIVE:
        return f"INCONCLUSIVE: {clean(report.reason)}"
    clean_, findings = _HEADLINES[report.against]
    if report.status is AuditStatus.CLEAN:
        return f"CLEAN: {clean_.format(keys=keys)}"
    return f"FINDINGS: {findings.format(keys=keys, wrong=wrong)}"


def about(report: AuditReport) -> str:
    """Which audit this is."""
    took_s = (report.finished - report.started).total_seconds()
    deep = ", every document read" if any(table.deep for table in report.tables) else ""
    return f"audit {report.id} of `{clean(report.name)}`, {report.finished:%Y-%m-%d %H:%M:%S} UTC, {took_s:.1f} s{deep}"


def status(table: TableReport) -> str:
    """The table's status; `empty` for one that is clean because there was nothing to compare."""
    return "empty" if table.status is AuditStatus.CLEAN and not table.compared else table.status.value


def part(table: TableReport) -> str:
    """Which partitions and events were audited, if not all; else empty."""
    parts = []
    if not table.whole:
        audited = ranges(window.partition for window in table.windows)
        parts.append(f"only partitions {audited or 'none'} of {table.partitions}")
    if table.since:
        what = "the last clean audit" if table.since == "clean" else clean(table.since)
        parts.append(f"only events since {what}")
    return ", and of them ".join(parts)


def unjudged(table: TableReport) -> Iterator[str]:
    """Which keys could not be judged like the others, though nothing is wrong with the audit."""
    if table.unsettled:
        yield f"{table.unsettled:,} keys were being written: they were judged one by one, by their last settled event"
    if table.lagging and table.windows:
        yield f"{table.lagging:,} keys are not due yet: the sink has still to settle their events"
    elif table.lagging:
        yield f"{table.lagging:,} keys changed whenever they were looked at: they were not judged"


def ranges(numbers: Iterable[int]) -> str:
    """`0-2, 5` for 0, 1, 2, 5."""
    runs = [list(run) for _, run in groupby(enumerate(sorted(set(numbers))), key=lambda item: item[1] - item[0])]
    ends = [(run[0][1], run[-1][1]) for run in runs]
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ends)


def should(finding: Finding) -> str:
    """What should be there."""
    if finding.class_ in _OF_BINLOG:
        return _OF_BINLOG[finding.class_]
    expected = finding.expected
    if expected is None:
        wanted = finding.class_ in (FindingClass.MISSING, FindingClass.CONTENT)
        return "as its row in MySQL" if wanted else "absent (nobody knows anything of it)"
    at = f"partition {expected.partition} offset {expected.offset}, committed {moment(expected.commit_ts_ms)}"
    if expected.op in ("d", "t"):
        return f"absent since {at}"
    return f"the change at {at}"


def holds(finding: Finding) -> str:
    """What is there."""
    found, change = finding.found, finding.change
    if change is not None:
        at = f" (partition {finding.expected.partition} offset {finding.expected.offset})" if finding.expected else ""
        gtid = f"{change.gtid} at " if change.gtid else ""
        return f"the change `{change.op}` of {gtid}{change.file}:{change.pos} row {change.row}{at}"
    if found is None:
        return "absent"
    if found.offset is None:
        return f"without a _cdc of ours (_version {found.version})"
    return f"the change at partition {found.partition} offset {found.offset} (_version {found.version})"


def differing(finding: Finding) -> str:
    """Which fields differ; empty if none were compared."""
    said = [f"{clean(one.field)} ({_cut(one.found)}, not {_cut(one.expected)})" for one in finding.differs[:_FIELDS]]
    said += [clean(one.field) for one in finding.differs[_FIELDS:]]
    return f"; differs in {', '.join(said)}" if said else ""


def _cut(value: str | None) -> str:
    text = "absent" if value is None else clean(value)
    return text if len(text) <= _VALUE else f"{text[:_VALUE]}…"


def moment(ts_ms: int) -> str:
    return f"{datetime.fromtimestamp(ts_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def size(count: float) -> str:
    """Bytes for a person."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"


def advice(report: AuditReport) -> Iterator[str]:
    """What to do next."""
    found = {kind for table in report.tables for kind, count in table.counts.items() if count}
    if report.against is Against.MYSQL and found & set(REPAIRABLE):
        yield "`tidemark audit run` finds what the topic can mend; a change of a row sends the rest of them again"
    if report.against is Against.BINLOG and found:
        yield "keep binlog and topic as they are, and find out what cdc did then: its log names the transactions"
    if report.against is Against.TOPIC and report.repair is None and found & set(REPAIRABLE):
        yield "`tidemark audit repair` shows what a repair would write, `--apply` writes it"
    if FindingClass.FOREIGN in found:
        yield "foreign documents are never touched: find out who writes to the index, then delete them by hand"
    if FindingClass.DEAD_LETTERED in found:
        yield "`tidemark sink deadletter list` says why, `replay` tries again; a later good change heals such a row"
    if report.status is AuditStatus.INCONCLUSIVE:
        yield "mend the reason above and run the audit again: nothing is proven until then"
    elif any(table.reason for table in report.tables):
        yield "a table's audit came to no end: run it again when its reason is mended"
    if any(not table.whole for table in report.tables):
        yield "`tidemark audit report --merge A.json B.json` puts the parts of a shared-out audit together"


def kinds(tables: Sequence[TableReport]) -> list[FindingClass]:
    """The classes that were found, in the order of their definition."""
    return [kind for kind in FindingClass if any(table.counts.get(kind) for table in tables)]
