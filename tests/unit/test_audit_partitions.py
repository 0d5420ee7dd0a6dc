"""Which partitions are audited, and how that is said."""

from __future__ import annotations

import pytest

from auditor.partitions import partitions
from auditor.words import part, ranges
from reports import table
from schemas.errors import UsageError


def test_numbers_and_ranges() -> None:
    assert partitions("3") == {3}
    assert partitions("0-2, 5,5") == {0, 1, 2, 5}
    assert ranges(partitions("0-2,5,7-8")) == "0-2, 5, 7-8"
    assert (ranges(()), part(table(parts=(0, 1), of=2)), part(table(parts=(), of=2))) == (
        "",
        "",
        "only partitions none of 2",
    )


@pytest.mark.parametrize("wrong", ["", ",", "a", "1-", "-1", "2-1", "1..3", "1,,2", "99999999", "0-1000000", "²"])
def test_what_names_none(wrong: str) -> None:
    with pytest.raises(UsageError):
        partitions(wrong)
