"""How long from a commit in MySQL to the first search that finds the row."""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass
from typing import Any

from tidemark.demo.index_side import IndexSide
from tidemark.demo.services import DemoError

PROBES = 240
_EVERY_S = 0.05
_LOOK_EVERY_S = 0.01
_TIMEOUT_S = 60
_FIRST_ID = 1_000_001


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """Milliseconds from commit to first search hit, over all probes."""

    p50_ms: float
    p99_ms: float
    probes: int


def measure(connection: Any, index: IndexSide) -> Lag:
    """Insert one order at a time, and search all the while."""
    committed: dict[int, float] = {}
    hits: dict[int, float] = {}
    writer = threading.Thread(target=_write, args=(connection, committed), name="probes")
    writer.start()
    first_unseen, deadline = _FIRST_ID, time.monotonic() + _TIMEOUT_S
    while len(hits) < PROBES:
        if time.monotonic() > deadline:
            raise DemoError(f"only {len(hits)} of {PROBES} probes became searchable within {_TIMEOUT_S} s")
        for number in index.orders_from(first_unseen):
            hits.setdefault(number, time.monotonic())
        while first_unseen in hits:  # keys in different lanes overtake each other
            first_unseen += 1
        time.sleep(_LOOK_EVERY_S)
    writer.join()
    lags = [(hits[number] - committed[number]) * 1000 for number in hits]
    cuts = statistics.quantiles(lags, n=100)
    return Lag(p50_ms=round(cuts[49], 1), p99_ms=round(cuts[98], 1), probes=len(lags))


def _write(connection: Any, committed: dict[int, float]) -> None:
    sql = "INSERT INTO orders (id, customer_id, placed_at, note) VALUES (%s, 1, NOW(3), 'probe')"
    with connection.cursor() as cursor:
        for number in range(_FIRST_ID, _FIRST_ID + PROBES):
            cursor.execute(sql, (number,))
            committed[number] = time.monotonic()
            time.sleep(_EVERY_S)  # a steady trickle is the load, not a wait for something
