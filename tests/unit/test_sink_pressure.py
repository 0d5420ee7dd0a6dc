"""When the sink reads no more, and when it reads again."""

from __future__ import annotations

import pytest

from sink import pressure
from sink.pressure import Pressure


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


def test_full_until_half_of_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    queues = Queues(monkeypatch)
    assert queues.states(1000, 1001, 900, 501, 500, 900, 1001) == [False, True, True, True, False, False, True]


def test_partitions_are_paused_only_when_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    queues = Queues(monkeypatch)
    queues.states(2000)
    assert not queues.pressure.paused
    queues.now_s += 0.9
    queues.states(600)
    assert not queues.pressure.paused
    queues.now_s += 0.2
    assert queues.pressure.paused
    queues.states(400)
    assert not queues.pressure.paused
    queues.states(2000)
    assert not queues.pressure.paused
