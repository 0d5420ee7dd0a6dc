"""What each table's last audit found, for the metrics: one of some tables takes nothing away from others.

Kept beside the reports, as the last successes are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from auditor import shelf
from schemas.errors import TidemarkError, UsageError
from schemas.report import AuditReport, AuditStatus, FindingClass, TableReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Of a table's last audit; `counts` of the last one that came to an end. `clean`: of every partition."""

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


def upto(report: AuditReport, *, some: bool) -> Known:
    """With this report. `some`: it is about some tables only, so that the others are as they were.

    Where what was kept cannot be read, only this one is known: `note` says what is wrong.
    """
    try:
        before = _read(_place(report))
    except TidemarkError:
        before = Known()
    return _with(before, report, some=some)


def note(report: AuditReport, *, some: bool) -> None:
    """Keep it. Raises `UsageError` or `ConfigError` if that is not possible."""
    place = _place(report)
    shelf.write(place, orjson.dumps(asdict(_with(_read(place), report, some=some)), option=orjson.OPT_NON_STR_KEYS))


def _with(before: Known, report: AuditReport, *, some: bool) -> Known:
    now = {table.table: _measured(table, report, before.tables.get(table.table)) for table in report.tables}
    if some:
        tables, ended = {**before.tables, **now}, before.ended
    elif now:
        tables, ended = now, True
    else:  # it came to no end: what was found is no better for that
        tables, ended = {name: replace(one, clean=False) for name, one in before.tables.items()}, False
    green = ended and report.status is AuditStatus.CLEAN and all(one.clean for one in tables.values())
    return Known(tables=tables, ended=ended, green=green)


def _measured(table: TableReport, report: AuditReport, before: Measured | None) -> Measured:
    """What a whole audit has found is not made good by one that looks at a part of the time."""
    clean = table in report.clean and (table in report.proven or before is None or before.clean)
    unproven = table.status is AuditStatus.INCONCLUSIVE and not table.counts
    return Measured(
        clean=clean, keys=table.keys, lagging=table.lagging, unsettled=table.unsettled, requests=table.cost.requests,
        counts=before.counts if unproven and before is not None else table.counts,
    )  # fmt: skip


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
