"""Chores: one that fails holds up its own place, and no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from schemas.errors import UnreachableError, UnsafeError
from sink import chores
from sink.chores import Chores
from sink.trouble import Fault, Troubles


class Bench:
    """Chores that write down what was done."""

    def __init__(self) -> None:
        self.troubles, self.fault = Troubles(), Fault()
        self.chores = Chores(self.troubles, self.fault)
        self.done: list[str] = []
        self.stuck = threading.Event()
        self.stuck.set()

    def submit(self, place: str, name: str, *, fails: bool = False) -> None:
        def chore() -> bool:
            if fails and self.stuck.is_set():
                raise UnreachableError("no shard")
            self.done.append(name)
            return True

        self.chores.submit(place, name, chore)

    def until(self, check: Callable[[], object], timeout_s: float = 120) -> None:
        deadline = time.monotonic() + timeout_s
        while not check():
            self.fault.check()
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def bench() -> Iterator[Bench]:
    found = Bench()
    found.chores.start()
    yield found
    found.chores.close(60)


def test_one_that_fails_does_not_hold_up_other_places(bench: Bench) -> None:
    bench.submit("a", "a1", fails=True)
    bench.until(lambda: bench.troubles.reason)
    for place in "bcd":
        bench.submit(place, f"{place}1")
    bench.until(lambda: len(bench.done) == 3)
    assert bench.done == ["b1", "c1", "d1"]
    assert bench.troubles.reason == "a1: no shard"
    bench.stuck.clear()
    bench.until(lambda: bench.done[3:] == ["a1"])
    bench.until(lambda: not bench.troubles.reason)


def test_of_one_place_nothing_overtakes(bench: Bench) -> None:
    bench.submit("a", "a1", fails=True)
    bench.submit("a", "a2")
    bench.submit("b", "b1")
    bench.until(lambda: bench.done == ["b1"])
    bench.submit("a", "a3", fails=True)
    time.sleep(0.3)
    assert bench.done == ["b1"]
    bench.stuck.clear()
    bench.until(lambda: bench.done == ["b1", "a1", "a2", "a3"])


def test_a_failing_one_is_not_tried_without_pause(bench: Bench) -> None:
    tries: list[float] = []

    def chore() -> bool:
        tries.append(time.monotonic())
        raise UnreachableError("no shard")

    bench.chores.submit("a", "a1", chore)
    bench.until(lambda: len(tries) >= 5)
    assert tries[4] - tries[0] > 0.02  # pauses are drawn at random: one run in a million has none as long


def test_closing_does_not_wait_for_one_that_fails(bench: Bench) -> None:
    bench.submit("a", "a1", fails=True)
    bench.until(lambda: bench.troubles.reason)
    began = time.monotonic()
    bench.chores.close(60)
    assert time.monotonic() - began < 30


def test_what_cannot_be_tried_again_ends_the_service(bench: Bench) -> None:
    def chore() -> bool:
        raise UnsafeError("no")

    bench.chores.submit("a", "a1", chore)
    with pytest.raises(UnsafeError):
        bench.until(lambda: False)


def test_others_have_their_turn_while_a_long_one_goes_on(bench: Bench) -> None:
    """Six partitions of a table that was emptied, and one of another table that is looked at for the first time."""
    left = dict.fromkeys("abcdef", 20)

    def chore(place: str) -> bool:
        left[place] -= 1
        bench.done.append(place)
        if bench.done == ["a", "b", "c"]:
            bench.submit("new", "new1")
            assert bench.chores.begun == ["a", "b"]
        return not left[place]

    submitted = threading.Event()
    bench.chores.submit("first", "first", lambda: submitted.wait(60))
    for place in left:
        bench.chores.submit(place, f"sweep of {place}", lambda place=place: chore(place))  # type: ignore[misc]
    submitted.set()
    bench.until(lambda: not any(left.values()))
    assert bench.done[:8] == ["a", "b", "c", "d", "e", "f", "new1", "a"]
    assert set(bench.done[-6:]) == set("abcdef")
    bench.until(lambda: not bench.chores.begun)


def test_what_fails_slowly_leaves_turns_to_a_long_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chores, "_LONGEST_WAIT_S", 0.001)
    left = 20

    def sweep() -> bool:
        nonlocal left
        left -= 1
        return not left

    def fails() -> bool:
        time.sleep(0.01)
        raise UnreachableError("no shard")

    for place in "abcd":
        bench.chores.submit(place, place, fails)
    bench.chores.submit("sweep", "sweep", sweep)
    bench.until(lambda: not left, timeout_s=30)
