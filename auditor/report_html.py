"""The report as one self-contained page: no script, nothing from the network, every value escaped."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined, Template

from auditor import compare, strip, words
from ops.log import clean
from schemas.cost import Level
from schemas.event import VERSION
from schemas.report import AuditReport, Finding, Repair, RepairOutcome, TableReport

LISTED = 1000
_FIRST = 20
_REPAIRS = 200
_SIGN = {"clean": "✓", "findings": "✗", "inconclusive": "?"}


class Bar(NamedTuple):
    """One round of the search. `share` and `dirty_share`: of the widest round, from 0 to 1, in logarithms."""

    level: Level
    share: float
    dirty_share: float


class View(NamedTuple):
    """One table, as the page shows it."""

    table: TableReport
    part: str
    keys: strip.Strip
    offsets: tuple[strip.Strip, ...]
    bars: tuple[Bar, ...]
    listed: tuple[Finding, ...]
    binary: compare.Other
    scan: compare.Other


def to_html(report: AuditReport) -> bytes:
    """The page, in UTF-8."""
    return (
        _template()
        .render(
            report=report,
            views=[_view(table) for table in report.tables],
            kinds=words.kinds(report.tables),
            repairs=_repairs(report),
            sign=_SIGN[report.status.value],
            words=words,
            listed=LISTED,
            first=_FIRST,
            version=VERSION,
        )
        .encode()
    )


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"clean": clean, "size": words.size, "moment": words.moment}
    return environment.from_string((files("auditor") / "report.html.j2").read_text(encoding="utf-8"))


def _view(table: TableReport) -> View:
    return View(
        table=table,
        part=words.part(table),
        keys=strip.of_keys(table),
        offsets=tuple(strip.of_offsets(table)),
        bars=tuple(_bars(table)),
        listed=tuple(table.findings[:LISTED]),
        binary=compare.plain_binary(table.keys, compare.differing(table)),
        scan=compare.full_scan(table.keys),
    )


def _bars(table: TableReport) -> list[Bar]:
    widest = max((level.ranges for level in table.search), default=1).bit_length()
    return [Bar(level, level.ranges.bit_length() / widest, level.dirty.bit_length() / widest) for level in table.search]


def _repairs(report: AuditReport) -> list[Repair]:
    """What a repair left for somebody to look at, first."""
    if report.repair is None:
        return []
    order = list(reversed(RepairOutcome))
    return sorted(report.repair.repairs, key=lambda repair: order.index(repair.outcome))[:_REPAIRS]
