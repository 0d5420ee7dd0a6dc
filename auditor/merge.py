"""`audit report --merge`: the parts of an audit that several machines shared make one report. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import groupby, pairwise, zip_longest

from auditor.findings import FINDINGS_LIMIT, RED
from auditor.key_space import merged as merged_key_space
from auditor.words import ranges
from schemas.cost import Cost, Lag, Level
from schemas.errors import UsageError
from schemas.report import Against, AuditReport, AuditStatus, FindingClass, TableReport, Window

_APART = timedelta(days=1)


def merge(parts: Sequence[AuditReport]) -> list[TableReport]:
    """Every table of the parts, once. What nobody audited makes a table inconclusive.

    Raises `UsageError` for parts that are not of one audit: another pipeline, topic, index or way of auditing, offsets
    that are in two of them, a gap between two windows, more than a day between their ends; and for audits that have no
    parts, as those against MySQL or the binlog.
    """
    if len(parts) < 2:
        raise UsageError("there is nothing to merge", hint="Name two reports or more.")
    _same("pipeline", (part.name for part in parts))
    _are_parts(parts)
    # A run that ended before it knew its tables: whatever it was to audit, it did not.
    unfinished = [part.reason for part in parts if not part.tables]
    tables = sorted((table for part in parts for table in part.tables), key=lambda table: table.table)
    return [_table(list(some), unfinished) for _, some in groupby(tables, key=lambda table: table.table)]


def _are_parts(parts: Sequence[AuditReport]) -> None:
    whole = [part for part in parts if part.against is not Against.TOPIC]
    if whole:
        raise UsageError(f"audit {whole[0].id} is against {whole[0].against.value}: it has no parts to put together")
    ids = Counter(id_ for part in parts for id_ in part.parts or [part.id])
    [(id_, count)] = ids.most_common(1)
    if count > 1:
        raise UsageError(f"audit {id_} is named twice")
    first, last = min(parts, key=lambda part: part.finished), max(parts, key=lambda part: part.finished)
    if last.finished - first.finished > _APART:
        raise UsageError(
            f"the reports are not of one audit: {first.id} had ended more than a day before {last.id} did",
            hint="Audit the older part again.",
        )


def _table(parts: Sequence[TableReport], unfinished: Sequence[str]) -> TableReport:
    _check(parts)
    windows = _windows(parts)
    partitions = max(part.partitions for part in parts)
    counts: Counter[FindingClass] = Counter()
    for part in parts:
        counts.update(part.counts)
    findings = sorted((finding for part in parts for finding in part.findings), key=lambda finding: finding.document)
    reason = "; ".join(_reasons(parts, unfinished, set(range(partitions)) - {part.partition for part in windows}))
    gray = AuditStatus.INCONCLUSIVE if reason else AuditStatus.CLEAN
    furthest = max(parts, key=lambda part: bool(part.topic_id) + bool(part.index))
    changed = {
        "status": AuditStatus.FINDINGS if any(counts[kind] for kind in RED) else gray,
        "reason": reason,
        "partitions": partitions,
        "windows": windows,
        "since": ", ".join(sorted({part.since for part in parts if part.since})),
        "keys": sum(part.keys for part in parts),
        "unsettled": sum(part.unsettled for part in parts),
        "lagging": sum(part.lagging for part in parts),
        "counts": dict(counts),
        "findings": findings[:FINDINGS_LIMIT],
        "findings_cut": len(findings) > FINDINGS_LIMIT or any(part.findings_cut for part in parts),
        "key_space": merged_key_space([part.key_space for part in parts]),
        "search": [_level(levels) for levels in zip_longest(*(part.search for part in parts))],
        "lag": _lag([part.lag for part in parts]),
        "cost": _cost([part.cost for part in parts]),
    }
    return furthest.model_copy(update=changed)


def _check(parts: Sequence[TableReport]) -> None:
    where = parts[0].table
    # One that did not get as far as the topic, or the index, does not know it.
    _same("topic's id", (part.topic_id for part in parts if part.topic_id), where)
    _same("index", (part.index for part in parts if part.index), where)
    _same("index's life", (part.index_id for part in parts if part.index_id), where)
    _same("filter, transform or fields", (part.rules or "the rows" for part in parts), where)
    _same("number of partitions", (part.partitions for part in parts if part.partitions), where)
    _same("beginning", (part.since or "all that is retained" for part in parts), where)
    _same("depth", ("deep" if part.deep else "not deep" for part in parts), where)


def _same(what: str, values: Iterable[object], where: str = "") -> None:
    different = sorted({str(value) for value in values})
    if len(different) > 1:
        raise UsageError(f"the reports are not of one audit, they differ in their {what}: {', '.join(different)}",
                         where=where)  # fmt: skip


def _windows(parts: Sequence[TableReport]) -> list[Window]:
    """One a partition. Raises `UsageError` where two overlap or do not meet."""
    windows = sorted((window for part in parts for window in part.windows), key=lambda one: (one.partition, one.low))
    made: list[Window] = []
    for _, group in groupby(windows, key=lambda window: window.partition):
        some = list(group)
        for before, after in pairwise(some):
            _must_meet(before, after, parts[0].table)
        keys, deleted = sum(window.keys for window in some), sum(window.deleted for window in some)
        made.append(some[0].model_copy(update={"high": some[-1].high, "keys": keys, "deleted": deleted}))
    return made


def _must_meet(before: Window, after: Window, where: str) -> None:
    if before.high == after.low and before.low < before.high:
        return
    said = "overlap" if after.low < before.high or before.low == after.low else "leave a gap"
    raise UsageError(
        f"the reports {said} in partition {before.partition}: offsets {before.low} to {before.high} "
        f"and {after.low} to {after.high}",
        where=where,
        hint="Share partitions out so that each is audited once.",
    )


def _reasons(parts: Sequence[TableReport], unfinished: Sequence[str], missing: set[int]) -> Iterable[str]:
    """Why it is not proven, each once."""
    if missing:
        yield f"no part has partition {ranges(missing)}"
    yield from dict.fromkeys([*(part.reason for part in parts if part.reason), *unfinished])


def _level(levels: Sequence[Level | None]) -> Level:
    """A round that several went through at the same time."""
    there = [level for level in levels if level is not None]
    return Level(
        axis=there[0].axis,
        ranges=sum(level.ranges for level in there),
        dirty=sum(level.dirty for level in there),
        keys=sum(level.keys for level in there),
        requests=sum(level.requests for level in there),
        seconds=max(level.seconds for level in there),
    )


def _lag(lags: Sequence[Lag]) -> Lag:
    known = [lag.records for lag in lags if lag.records is not None]
    return Lag(
        records=sum(known) if len(known) == len(lags) else None,
        waited_s=max(lag.waited_s for lag in lags),
        newest_ts_ms=max((lag.newest_ts_ms for lag in lags if lag.newest_ts_ms is not None), default=None),
    )


def _cost(costs: Sequence[Cost]) -> Cost:
    """What all of them took together; rounds ran side by side."""
    summed = {name: round(sum(getattr(cost, name) for cost in costs), 3) for name in Cost.model_fields}
    return Cost.model_validate({**summed, "rounds": max(cost.rounds for cost in costs)})
