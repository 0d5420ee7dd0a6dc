"""How large requests become, and where they are cut."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from sink.bound import Bound, cuts

MIB = 1 << 20


def feed(bound: Bound, bytes_per_s: float, requests: int, overhead_s: float = 0.0) -> None:
    """Full requests, each with a fixed cost and one that grows with its size."""
    for _ in range(requests):
        bound.accepted(bound.bytes, overhead_s + bound.bytes / bytes_per_s)


def test_it_is_halved_and_recovers_bit_by_bit() -> None:
    bound = Bound(16_000)
    bound.shrink(100_000)
    assert bound.bytes == 8_000
    bound.shrink(4_000)
    assert bound.bytes == 2_000
    for recovered in range(1, 15):
        bound.accepted(bound.bytes, 1.0)
        assert bound.bytes == 2_000 + recovered * 1_000
    bound.accepted(bound.bytes, 1.0)
    assert bound.bytes == 16_000


def test_it_never_gets_smaller_than_something() -> None:
    bound = Bound(16_000)
    for _ in range(40):
        bound.shrink(bound.bytes)
    assert bound.bytes == 1024


def test_it_does_not_get_smaller_than_a_busy_cluster_asks_for() -> None:
    bound = Bound(16_000)
    for _ in range(40):
        bound.shrink(100, 5_000)
    assert bound.bytes == 5_000
    bound.shrink(3_000)
    bound.shrink(3_000, 5_000)
    assert bound.bytes == 1_500


def test_it_grows_while_that_gets_more_through() -> None:
    bound = Bound(64 * MIB)
    feed(bound, 50 * MIB, 100, overhead_s=0.1)
    assert 8 * MIB <= bound.bytes <= 64 * MIB


def test_it_stays_where_more_at_once_gets_no_more_through() -> None:
    bound = Bound(64 * MIB)
    feed(bound, 50 * MIB, 100)
    assert bound.bytes == MIB


def test_it_looks_again_later() -> None:
    bound = Bound(64 * MIB)
    feed(bound, 50 * MIB, 100)
    feed(bound, 50 * MIB, 1100, overhead_s=0.2)
    assert bound.bytes >= 4 * MIB


def test_requests_that_are_not_full_say_nothing() -> None:
    bound = Bound(64 * MIB)
    for _ in range(100):
        bound.accepted(1000, 0.01)
    assert bound.bytes == MIB


@given(st.lists(st.integers(1, 50)), st.integers(1, 100), st.integers(1, 10))
def test_the_cuts_are_all_of_it_and_each_within_its_limits(sizes: list[int], most_bytes: int, most_items: int) -> None:
    pieces = [sizes[piece] for piece in cuts(sizes, most_bytes, most_items)]
    assert [size for piece in pieces for size in piece] == sizes
    for piece, following in itertools.zip_longest(pieces, pieces[1:]):
        assert piece
        assert len(piece) <= most_items
        assert sum(piece) <= most_bytes or len(piece) == 1
        # None is cut too early.
        if following:
            assert len(piece) == most_items or sum(piece) + following[0] > most_bytes
