"""What each table's last audit found, for the metrics: one of some tables takes nothing away from others.

Kept beside the reports, as the last successes are.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from auditor import shelf
from auditor.findings import DEEP, RED
from schemas.errors import TidemarkError, UsageError
from schemas.report import Against, AuditReport, AuditStatus, FindingClass, TableReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Of a table's last audit. `clean`: of every partition, and nothing is left of what was found before.

    `counts`: what is wrong as far as is known: a class stays until an audit that would see it has looked at everything.
    """

    clean: bool
    keys: int
    lagging: int
    unsettled: int
    requests: int
    counts: Mapping[FindingClass, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """By table. `ended`: the last audit of all tables came to an end; `green`: so it did, and every table is clean."""

    tables: Mapping[str, Measured] = field(default_factory=dict)
    ended: bool = True
    green: bool = False


def upto(report: AuditReport, *, some: Sequence[str] = ()) -> Known:
    """With this report. `some`: names or patterns of the tables that it is about, so that the others are as they were.

    Where what was kept cannot be read, only this one is known: `note` says what is wrong.
    """
    try:
        before = _read(_place(report))
    except TidemarkError:
        before = Known()
    return _with(before, report, some)


def note(report: AuditReport, *, some: Sequence[str] = ()) -> None:
    """Keep it. Raises `UsageError` or `ConfigError` if that is not possible."""
    place = _place(report)
    shelf.write(place, orjson.dumps(asdict(_with(_read(place), report, some)), option=orjson.OPT_NON_STR_KEYS))


def _with(before: Known, report: AuditReport, some: Sequence[str]) -> Known:
    now = {table.table: _measured(table, report, before.tables.get(table.table)) for table in report.tables}
    if not now:  # it came to no end: what was found is no better for that
        now = {name: replace(one, clean=False) for name, one in before.tables.items() if _is_about(some, name)}
    if some:
        tables, ended = {**before.tables, **now}, before.ended
    else:
        tables, ended = now, bool(report.tables)
    green = ended and report.status is AuditStatus.CLEAN and all(one.clean for one in tables.values())
    return Known(tables=tables, ended=ended, green=green)


def _is_about(some: Sequence[str], table: str) -> bool:
    return not some or any(table == name or fnmatch.fnmatchcase(table, name) for name in some)


def _measured(table: TableReport, report: AuditReport, before: Measured | None) -> Measured:
    left = {} if before is None else _left(before.counts, table, report)
    counts = {kind: max(table.counts.get(kind, 0), left.get(kind, 0)) for kind in {*table.counts, *left}}
    return Measured(
        clean=table in report.clean and not any(left.get(kind) for kind in RED),
        keys=table.keys, lagging=table.lagging, unsettled=table.unsettled, requests=table.cost.requests, counts=counts,
    )  # fmt: skip


def _left(counts: Mapping[FindingClass, int], table: TableReport, report: AuditReport) -> dict[FindingClass, int]:
    """Of what was found before: what this audit has not looked at, so that it may be there still."""
    if table.reason and not table.counts:
        return dict(counts)
    if table.reason or not table.whole or not report.from_the_start(table):
        return {kind: count for kind, count in counts.items() if kind in RED}
    plain = report.against is Against.TOPIC and not table.deep
    return {kind: count for kind, count in counts.items() if plain and kind in DEEP}


def _place(report: AuditReport) -> Path:
    return shelf.folder(report.name) / f"known-{report.against}.json"


def _read(place: Path) -> Known:
    try:
        found = orjson.loads(place.read_bytes())
        tables = {str(name): _of_json(one) for name, one in found["tables"].items()}
        return Known(tables=tables, ended=bool(found["ended"]), green=bool(found["green"]))
    except FileNotFoundError:
        return Known()
    except (OSError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(place), hint="Remove the file.") from None


def _of_json(one: dict[str, Any]) -> Measured:
    return Measured(**{**one, "counts": {FindingClass(kind): int(count) for kind, count in one["counts"].items()}})
