"""The sink, its limits and the usual way fill the same index with the same documents, turn by turn."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.child import Child
from bench.elastic import Index
from bench.pinning import pinned
from bench.sink import runners
from bench.sink.rows import Filled
from bench.sink.runners import Place
from bench.sink.watch import Filling, filling
from bench.spread import Spread
from stack.watcher import Report

SIDES = ("limit", "ideal", "sink", "helpers")
OTHERS = ("limit", "ideal", "helpers")
_MAKE_IT = ("recorder", "sink")  # the index, themselves
_TIMEOUT_S = 1800


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """`runs`: of each side, in turns."""

    pinned: bool
    runs: dict[str, list[Filling]]

    @property
    def name(self) -> str:
        return "pinned" if self.pinned else "unpinned"

    def per_s(self, side: str) -> Spread:
        return Spread.of(run.per_s for run in self.runs[side])

    def cpu_us(self, side: str, whose: str) -> float:
        return Spread.of(run.cpu_us.get(whose, 0.0) for run in self.runs[side]).median

    def ratio(self, other: str) -> Spread:
        """The sink's speed to another's, turn by turn."""
        pairs = zip(self.runs["sink"], self.runs[other], strict=True)
        return Spread.of(ours.per_s / theirs.per_s for ours, theirs in pairs)

    def to_json(self) -> dict[str, Any]:
        return {side: [run.to_json() for run in runs] for side, runs in self.runs.items()}


def race(place: Place, filled: Filled, pids: dict[str, int], rounds: int, *, pin: bool, say: Report) -> Race:
    """`pids`: of Elasticsearch and Kafka. The first turn, in which Java compiles what it runs, does not count.

    Every round begins with a sink that keeps its requests, for the limit of that round.
    """
    name = "pinned" if pin else "unpinned"
    runs: dict[str, list[Filling]] = {side: [] for side in SIDES}
    for number in range(rounds):
        with TemporaryDirectory(prefix="requests-", dir=place.folder) as folder:
            run = partial(_run, place, filled, pids, Path(folder), pin=pin)
            if not number:
                say(f"warming up: {run('ideal').to_json()}")
            say(f"{name} {number + 1} recording: {run('recorder').to_json()}")
            for side, found in runs.items():
                found.append(run(side))
                say(f"{name} {number + 1} {side}: {found[-1].to_json()}")
    return Race(pinned=pin, runs=runs)


def _run(place: Place, filled: Filled, pids: dict[str, int], recorded: Path, side: str, *, pin: bool) -> Filling:
    name = f"{side}-{os.urandom(4).hex()}"
    starters: dict[str, Callable[[], Child]] = {
        "recorder": lambda: runners.recorder(place, filled.source, name, recorded),
        "limit": lambda: runners.limit(place, filled, name, recorded),
        "ideal": lambda: runners.ideal(place, filled, name),
        "helpers": lambda: runners.helpers(place, filled, name),
        "sink": lambda: runners.sink(place, filled.source, name),
    }
    index = Index(place.elastic, filled.table)
    index.remove()
    if side not in _MAKE_IT:
        index.make()
    try:
        with starters[side]() as child, pinned(_places(pids, child.pid)) if pin else nullcontext():
            found = filling(index, child, {**pids, side: child.pid}, filled.rows, timeout_s=_TIMEOUT_S)
            child.stop()
            return found
    finally:
        index.close()


def _places(pids: dict[str, int], *others: int) -> Iterable[tuple[int, set[int]]]:
    """Elasticsearch on one processor, everything else, us included, on another."""
    first, second, *_ = sorted(os.sched_getaffinity(0))
    yield pids["elasticsearch"], {first}
    for pid in (pids["kafka"], os.getpid(), *others):
        yield pid, {second}
