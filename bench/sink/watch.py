"""Watches an index being filled: how fast, and what it costs whom."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench import meter
from bench.child import Child
from bench.elastic import Index
from bench.errors import BenchError

_STEP_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """From the first documents that were seen to the last. `cpu_us`: CPU time a document, of each process."""

    documents: int
    seconds: float
    cpu_us: Mapping[str, float]

    @property
    def per_s(self) -> float:
        return self.documents / self.seconds

    def to_json(self) -> dict[str, Any]:
        cpu = {name: round(value, 2) for name, value in self.cpu_us.items()}
        return {"documents": self.documents, "per_s": round(self.per_s), "cpu_us": cpu}


class Stopwatch:
    """`pids`: whose CPU time is counted, by name; one that is 0 is left out."""

    def __init__(self, index: Index, pids: Mapping[str, int]) -> None:
        self._index = index
        self._pids = {name: pid for name, pid in pids.items() if pid}
        self.place = self._look()

    def _look(self) -> tuple[int, float, dict[str, float]]:
        now = self._index.indexed(), time.monotonic()
        return *now, {name: meter.cpu_s([pid]) for name, pid in self._pids.items()}

    def lap(self) -> Filling:
        """Since the last lap, or since the start."""
        (before, began, cost), self.place = self.place, self._look()
        done, now, spent = self.place
        documents = max(1, done - before)
        cpu = {name: (spent[name] - cost[name]) * 1e6 / documents for name in spent}
        return Filling(documents=done - before, seconds=now - began, cpu_us=cpu)


def filling(index: Index, child: Child, pids: Mapping[str, int], rows: int, *, timeout_s: float) -> Filling:
    """Wait until so many documents are in the index, and searchable; how that went from the first of them on."""
    deadline = time.monotonic() + timeout_s
    while not index.indexed():
        _await(child, deadline)
    watch = Stopwatch(index, pids)
    while index.indexed() < rows:
        _await(child, deadline)
    found = watch.lap()
    if index.count() != rows:
        raise BenchError(f"{index.count()} documents of {rows}:\n{child.tail()}", where=str(child.log))
    return found


def _await(child: Child, deadline: float) -> None:
    child.check()
    if time.monotonic() > deadline:
        raise BenchError(f"too slow:\n{child.tail()}", where=str(child.log))
    time.sleep(_STEP_S)
