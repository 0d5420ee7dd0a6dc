"""How long a lane waits before it tries again."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import pytest

from sink.patience import until_done


class Closing(threading.Event):
    """Waits for nothing, and remembers how long it should have; closes after so many waits."""

    def __init__(self, after: int = 10_000) -> None:
        super().__init__()
        self.waited_s: list[float] = []
        self._after = after

    def wait(self, timeout: float | None = None) -> bool:
        self.waited_s.append(timeout or 0.0)
        if len(self.waited_s) >= self._after:
            self.set()
        return self.is_set()


@pytest.fixture(autouse=True)
def _longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are random, up to this."""
    monkeypatch.setattr(random, "uniform", lambda _least, most: most)


def waits(*left: int) -> list[float]:
    found: Iterator[int] = iter(left)
    closing = Closing()
    until_done(closing, lambda: next(found))
    assert next(found, None) is None
    return closing.waited_s


def test_nothing_is_left() -> None:
    assert waits(0) == []
    assert waits(5, 0) == [0.1]


def test_waits_double_while_nothing_gets_less() -> None:
    found = waits(*[7] * 12, 0)
    assert found == pytest.approx([0.1, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10, 10])


def test_they_begin_anew_when_something_does() -> None:
    """A busy cluster that takes a few of many items each time is not left alone for ten seconds after each."""
    assert waits(7, 7, 7, 7, 6, 5, 5, 0) == pytest.approx([0.1, 0.1, 0.2, 0.4, 0.1, 0.1, 0.1])


def test_more_than_before_is_no_progress() -> None:
    assert waits(7, 8, 8, 0) == pytest.approx([0.1, 0.1, 0.2])


def test_closing_ends_it() -> None:
    closing = Closing(after=5)
    until_done(closing, lambda: 1)
    assert len(closing.waited_s) <= 6
