"""When the sink reads no more, and when it reads again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sink import pressure
from sink.pipeline import Sink
from sink.pressure import Pressure
from sink.trouble import Fault, Troubles
from sink_kit import part_of


class Queues:
    """What waits, and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = 0
        self.now_s = 100.0
        self.pressure = Pressure(1000, lambda: self.bytes)
        monkeypatch.setattr(pressure.time, "monotonic", lambda: self.now_s)

    def states(self, *sizes: int) -> list[bool]:
        found = []
        for self.bytes in sizes:
            self.pressure.look()
            found.append(self.pressure.high)
        return found


def test_full_until_an_eighth_of_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    queues = Queues(monkeypatch)
    assert queues.states(1000, 1001, 900, 876, 875, 900, 1001) == [False, True, True, True, False, False, True]


def test_partitions_are_paused_only_when_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    queues = Queues(monkeypatch)
    queues.states(2000)
    assert not queues.pressure.paused
    queues.now_s += 0.9
    queues.states(900)
    assert not queues.pressure.paused
    queues.now_s += 0.2
    assert queues.pressure.paused
    queues.states(501)
    assert queues.pressure.paused
    queues.states(400)
    assert not queues.pressure.paused
    queues.states(2000)
    assert not queues.pressure.paused


class Group:
    """Counts polls; remembers what was paused."""

    hurry = False

    def __init__(self) -> None:
        self.parts = {("t", number): part_of(number) for number in range(3)}
        self.polls = 0
        self.paused = 0

    def subscribe(self, _topics: Any) -> None:
        pass

    def read(self, _timeout_s: float) -> list[Any]:
        self.polls += 1
        return []

    def pause(self, parts: set[Any]) -> None:
        self.paused = len(parts)


def test_a_sink_that_is_full_for_long_is_polled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group throws out who is not heard of, and hands partitions over while members poll."""
    queues, group = Queues(monkeypatch), Group()
    sink: Any = object.__new__(Sink)
    sink._fault, sink._troubles, sink._group, sink._pressure = Fault(), Troubles(), group, queues.pressure
    sink._health = SimpleNamespace(up=lambda: None)
    sink._watcher = SimpleNamespace(targets={"shop.shop.orders": SimpleNamespace(topic_id="uuid")})
    sink._lanes = SimpleNamespace(wait_eased=lambda _timeout_s: None, set_aside=frozenset())
    sink._admission = SimpleNamespace(release=lambda _part: None, tell=lambda: None)
    sink._next_commit = 1e9

    def after(seconds: float, size: int) -> tuple[int, int]:
        queues.now_s += seconds
        queues.bytes = size
        sink._round()
        return group.polls, group.paused

    assert after(0, 100) == (1, 0)
    assert after(0, 5000) == (1, 0)  # what was fetched ahead is kept
    assert after(0.5, 5000) == (1, 0)
    assert after(1, 5000) == (2, 3)
    assert after(60, 5000) == (3, 3)
    assert after(60, 100) == (4, 0)
