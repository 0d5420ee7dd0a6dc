"""How old unread records can be."""

from __future__ import annotations

import pytest

from sink.freshness import Freshness, unread_since_ms


def test_what_was_read_counts_when_it_is_settled() -> None:
    found = Freshness(100)
    found.read(10, 200)
    found.read(20, 300)  # the mark may come past the first before the second
    found.settled(9)
    assert found.read_ms == 100
    found.settled(10)
    assert found.read_ms == 200
    found.read(30, 150)  # clocks differ
    found.settled(30)
    assert found.read_ms == 200
    found.read(40, 400)
    found.caught_up(500)
    found.settled(50)
    assert found.read_ms == 500


@pytest.mark.parametrize(
    ("offset", "read_ms", "began_ms", "since_ms"),
    [
        (5, 100, 50, 900),  # nothing lies between
        (7, 100, 50, 100),  # something may have
        (7, 950, 50, 900),
        (7, 0, 50, 900),  # an older sink did not note it
        (7, 100, 700, 700),
        (5, 100, 950, 950),
    ],
)
def test_a_gap_may_have_held_something_older(offset: int, read_ms: int, began_ms: int, since_ms: int) -> None:
    found = unread_since_ms(end=5, offset=offset, published_ms=900, read_ms=read_ms, began_ms=began_ms)
    assert found == since_ms
