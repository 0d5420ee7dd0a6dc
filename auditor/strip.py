"""Findings along a line, drawn as cells: along the sorted keys of a table, or the offsets of a partition. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from schemas.report import FindingClass, TableReport, Window

OFFSET_CELLS = 96
_FLAT = 0.35  # of the height, for a single finding: still to be seen


class Cell(NamedTuple):
    """`start` and `width` of 1, `height` of 1 and more for more findings; `kind`: the class that leads in it."""

    start: float
    width: float
    height: float
    kind: str
    where: str
    counts: str


class Strip(NamedTuple):
    """Only cells with findings; `cells`: how many there are in all."""

    label: str
    cells: int
    marked: tuple[Cell, ...]


def of_keys(table: TableReport) -> Strip:
    """The table's key space. An audit that did not get there has one empty cell."""
    space = table.key_space
    names = [_between(space.bounds, number) for number in range(len(space.marks))]
    return _strip("keys, in the order of their bytes", space.marks, names)


def of_offsets(table: TableReport) -> Iterator[Strip]:
    """One strip a partition: where the listed findings' last events are. A lost bulk is a run of them."""
    for window in table.windows:
        cells: list[Counter[str]] = [Counter() for _ in range(min(OFFSET_CELLS, max(1, window.high - window.low)))]
        for finding in table.findings:
            at = finding.expected
            if at is not None and at.partition == window.partition and window.low <= at.offset < window.high:
                cells[(at.offset - window.low) * len(cells) // (window.high - window.low)][finding.class_.value] += 1
        if any(cells):
            names = [_offsets(window, number, len(cells)) for number in range(len(cells))]
            yield _strip(f"partition {window.partition}, offsets {window.low:,} to {window.high:,}", cells, names)


def _strip(label: str, cells: Sequence[Mapping[str, int]], names: Sequence[str]) -> Strip:
    most = max((sum(cell.values()) for cell in cells), default=0)
    marked = []
    for number, cell in enumerate(cells):
        if not (total := sum(cell.values())):
            continue
        height = _FLAT + (1 - _FLAT) * (math.log(total) / math.log(most) if most > 1 else 1)
        kind = max(cell, key=cell.__getitem__)
        counts = ", ".join(f"{cell[kind.value]:,} {kind.value}" for kind in FindingClass if cell.get(kind.value))
        marked.append(Cell(number / len(cells), 1 / len(cells), round(height, 3), kind, names[number], counts))
    return Strip(label, len(cells), tuple(marked))


def _between(bounds: Sequence[str], number: int) -> str:
    if not bounds:
        return "all keys"
    if number == 0:
        return f"keys before {bounds[0]}"
    if number == len(bounds):
        return f"keys from {bounds[-1]} on"
    return f"keys from {bounds[number - 1]} to before {bounds[number]}"


def _offsets(window: Window, number: int, cells: int) -> str:
    span = window.high - window.low
    low, high = (window.low + -(-at * span // cells) for at in (number, number + 1))
    return f"offsets {low:,} to {high - 1:,}"
