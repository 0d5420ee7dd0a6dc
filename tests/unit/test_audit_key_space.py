"""Cells of the key space: bytewise, each key in one of them, as many keys each as there are."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from pydantic import ValidationError

from auditor.key_space import CELLS, Cells, merged
from schemas.cost import KeySpace
from schemas.report import FindingClass

ODD = ["", "a", "A", "\uffee", "\U0001f600", "\ue000", "x" * 3000, "é" * 200, '<script>"', "\x00"]


@pytest.mark.parametrize("count", [0, 1, 2, 95, 96, 97, 5000])
def test_every_key_is_in_one_cell_and_cells_are_about_as_large(count: int) -> None:
    keys = [f"{number:06}" for number in range(count)]
    random.Random(7).shuffle(keys)
    cells = Cells([key.encode() for key in keys])
    for key in [*keys, *ODD]:
        cells.mark(FindingClass.MISSING, key)
    space = cells.report()
    counts = [sum(cell.values()) for cell in space.marks]
    assert sum(counts) == count + len(ODD)
    assert len(counts) == max(1, min(count, CELLS))
    assert max(counts) <= -(-count // len(counts)) + len(ODD) + 1
    encoded = [bound.encode() for bound in space.bounds]
    assert encoded == sorted(set(encoded))


def test_one_key_over_and_over_and_long_ones() -> None:
    assert Cells([b"k"] * 500).report().bounds == ["k"]
    long = Cells([("p" * 70 + f"{number:03}").encode() for number in range(500)])
    assert long.report().bounds == ["p" * 64]
    wide = Cells([("\U0001f600" * 100 + str(number)).encode() for number in range(9)])
    assert wide.report().bounds == ["\U0001f600" * 64]  # cut between characters, not inside one


def test_parts_of_a_key_space_are_put_together() -> None:
    made = []
    for seed, count in ((1, 30), (2, 4000)):
        keys = [str(number) for number in range(seed, 2 * count, 2)]
        cells = Cells([key.encode() for key in keys])
        for key in keys[:20]:
            cells.mark(FindingClass.STALE, key)
        made.append(cells.report())
    both = merged(made)
    assert both.bounds == made[1].bounds
    assert sum(Counter(cell).total() for cell in both.marks) == 40
    assert merged([]) == KeySpace()
    with pytest.raises(ValidationError):
        KeySpace(bounds=["a"], marks=[{}])
