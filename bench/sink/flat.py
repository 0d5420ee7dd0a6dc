"""What a document costs while the index grows."""

from __future__ import annotations

import os
import time
from typing import Any

from bench.elastic import Index
from bench.errors import BenchError
from bench.sink import runners
from bench.sink.rows import Filled
from bench.sink.runners import Place
from bench.sink.watch import Stopwatch

_MARKS = (100_000, 500_000, 1_000_000, 2_000_000, 3_000_000, 4_000_000, 5_000_000)
_TIMEOUT_S = 3600


def flat(place: Place, filled: Filled, pids: dict[str, int]) -> list[dict[str, Any]]:
    """One run of the sink; speed and CPU time a document up to each mark, and at the end."""
    group = f"flat-{os.urandom(4).hex()}"
    index = Index(place.elastic, filled.table)
    index.remove()
    laps: list[dict[str, Any]] = []
    deadline = time.monotonic() + _TIMEOUT_S
    try:
        with runners.sink(place, filled.source, group) as child:
            while not index.indexed():
                child.check()
                time.sleep(0.05)
            watch = Stopwatch(index, {**pids, "sink": child.pid})
            for mark in [mark for mark in _MARKS if mark < filled.rows] + [filled.rows]:
                while index.indexed() < mark:
                    child.check()
                    if time.monotonic() > deadline:
                        raise BenchError(f"too slow:\n{child.tail()}")
                    time.sleep(0.1)
                laps.append({"up_to": mark, **watch.lap().to_json()})
            child.stop()
    finally:
        index.close()
    return laps
