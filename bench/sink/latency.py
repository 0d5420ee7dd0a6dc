"""From commit to searchable, at a steady rate."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from bench.elastic import Index
from bench.errors import BenchError
from bench.sink import runners
from bench.sink.fill import Filler
from bench.sink.rows import table
from bench.sink.runners import Place

_COMMITS_PER_S = 10
_WARM_UP_S = 5
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds between a transaction's commit in Kafka and the first search that finds its last row."""

    per_s: int
    seconds: float
    measured: list[float]

    def percentile(self, share: float) -> float:
        found = sorted(self.measured)
        return found[min(len(found) - 1, int(len(found) * share))]

    def to_json(self) -> dict[str, Any]:
        shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "most": 1.0}
        return {"per_s": self.per_s, "ms": {name: round(self.percentile(share)) for name, share in shares.items()}}


def latency(place: Place, per_s: int, seconds: float) -> Latency:
    """The sink follows a topic into which `per_s` rows a second are committed, ten times a second."""
    source = f"latency_{os.urandom(3).hex()}"
    filler, index = Filler(place.kafka, source), Index(place.elastic, table(source))
    try:
        with runners.sink(place, source, f"{source}-sink") as child:
            filler.commit(1)
            deadline = time.monotonic() + 120
            while not index.indexed():
                child.check()
                if time.monotonic() > deadline:
                    raise BenchError(f"nothing is indexed:\n{child.tail()}")
                time.sleep(0.1)
            found = _measure(filler, index, per_s, seconds)
            child.stop()
            return found
    finally:
        index.close()
        filler.close()


def _measure(filler: Filler, index: Index, per_s: int, seconds: float) -> Latency:
    commits: deque[tuple[float, int]] = deque()
    done = threading.Event()
    writer = threading.Thread(target=_write, args=(filler, per_s, seconds + _WARM_UP_S, commits, done))
    began = time.monotonic()
    writer.start()
    measured: list[float] = []
    while not done.is_set() or commits:
        highest, now = index.highest(), time.monotonic()
        while commits and commits[0][1] <= highest:
            committed, _ = commits.popleft()
            if committed - began > _WARM_UP_S:
                measured.append((now - committed) * 1000)
        if now - began > seconds + _WARM_UP_S + 120:
            raise BenchError(f"{len(commits)} commits are not searchable after two minutes")
        time.sleep(_LOOK_EVERY_S)
    writer.join()
    return Latency(per_s=per_s, seconds=seconds, measured=measured)


def _write(
    filler: Filler, per_s: int, seconds: float, commits: deque[tuple[float, int]], done: threading.Event
) -> None:
    began = time.monotonic()
    for number in range(int(seconds * _COMMITS_PER_S)):
        filler.commit(per_s // _COMMITS_PER_S)
        commits.append((time.monotonic(), filler.rows))
        rest_s = began + (number + 1) / _COMMITS_PER_S - time.monotonic()
        if rest_s > 0:
            time.sleep(rest_s)
    done.set()
