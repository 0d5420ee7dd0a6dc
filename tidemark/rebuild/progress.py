"""How far a rebuild is, on stderr: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

_LINE_EVERY_S = 5.0
_WINDOW_S = 10.0


class Meter:
    """Rate and remaining time, from what was done in the last seconds."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def rate(self, done: int, now: float) -> float:
        """Per second."""
        self._seen = [(when, count) for when, count in self._seen if now - when <= _WINDOW_S][-200:]
        self._seen.append((now, done))
        (first, count), elapsed = self._seen[0], now - self._seen[0][0]
        del first
        return (done - count) / elapsed if elapsed > 0 else 0.0


class Display:
    """Shows sentences, and between two of them a count that grows."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._meter = Meter()
        self._stage = ""
        self._began = self._next_line = 0.0
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"), console=console,
                transient=True,
            )  # fmt: skip
            self._task = self._bar.add_task("", total=1, said="", visible=False)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def say(self, sentence: str) -> None:
        """One line that stays."""
        self._console.print(escape(sentence), soft_wrap=True)

    def stage(self, name: str) -> None:
        """What is counted from here on."""
        self._stage, self._meter, self._next_line, self._began = name, Meter(), 0.0, time.monotonic()

    def count(self, done: int, total: int, waits_for: str = "") -> None:
        """So many of so many records."""
        now = time.monotonic()
        said = described(done, total, self._meter.rate(done, now), waits_for)
        if self._bar:
            self._bar.update(
                self._task,
                description=self._stage,
                completed=done,
                total=max(total, 1),
                said=escape(said),
                visible=True,
            )
        elif now >= self._next_line:
            self._next_line = now + _LINE_EVERY_S
            self.say(f"{self._stage}: {said}")

    def pass_time(self) -> None:
        """Nothing can be counted, but it goes on."""
        now = time.monotonic()
        said = f"{_time(now - self._began)} so far"
        if self._bar:
            self._bar.update(self._task, description=self._stage, completed=0, total=None, said=said, visible=True)
        elif now >= self._next_line:
            self._next_line = now + _LINE_EVERY_S
            self.say(f"{self._stage}: {said}")

    def quiet(self) -> None:
        """Nothing is counted any more."""
        if self._bar:
            self._bar.update(self._task, visible=False)


def described(done: int, total: int, rate: float, waits_for: str = "") -> str:
    """`63 %, 1,234 of 1,950 records, 45,100/s, 16 s left`."""
    share = f"{100 * done // total if total else 100} %, {done:,} of {total:,} records"
    if waits_for:
        return f"{share}, waits for {waits_for}"
    left_s = (total - done) / rate if rate > 0 else None
    return f"{share}, {rate:,.0f}/s, {'' if left_s is None else f'{_time(left_s)} left'}".rstrip(", ")


def _time(seconds: float) -> str:
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h {whole % 3600 // 60} min"
