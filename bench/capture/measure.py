"""One side's run over one backlog, measured from Kafka's side and checked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from bench import meter
from bench.capture.backlog import Backlog
from bench.capture.topics import Seen, Topics
from bench.capture.wait import await_mark
from bench.child import Child
from bench.errors import BenchError

_TIMEOUT_S = 1800


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run gave.

    `cold_rows_per_s`: over the whole backlog, from the start of the process to the moment when a committed reader saw
    the mark behind it; `warm_rows_per_s`: from the append of the record in the middle to that moment; `elsewhere`: CPUs
    that were busy with something else than this process and the servers.
    """

    side: str
    cold_rows_per_s: float
    warm_rows_per_s: float
    cpu_s_per_million: float
    peak_mb: float
    seconds: float
    event_mb: float
    elsewhere: float

    def to_json(self) -> dict[str, Any]:
        return {key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Who captures, and the topics' prefix."""

    name: str
    prefix: str
    start: Callable[[], Child]


def measure(side: Side, backlog: Backlog, topics: Topics, server_pids: tuple[int, ...]) -> Run:
    """Capture the backlog once. Raises `BenchError` if not every row was captured as it is."""
    events, done = f"{side.prefix}.{backlog.db}.events", f"{side.prefix}.{backlog.db}.done"
    topics.make(events, done)
    try:
        with topics.watch(done) as reader:
            busy, ours = meter.machine_busy_s(), meter.cpu_s(server_pids)
            began = time.time()
            with side.start() as child:
                ended = await_mark(reader, child, timeout_s=_TIMEOUT_S)
                cost = meter.cost(child.pid)
                others = meter.machine_busy_s() - busy - (meter.cpu_s(server_pids) - ours) - cost.cpu_s
                child.stop()
        seen = topics.read(events)
        _check(side, backlog, seen)
        return _run(side, backlog, seen, began=began, ended=ended, cost=cost, others=others)
    finally:
        topics.remove(f"{side.prefix}.")


def _check(side: Side, backlog: Backlog, seen: Seen) -> None:
    if seen.records != backlog.rows or seen.last != backlog.truth:
        raise BenchError(
            f"{side.name} captured {seen.records} of {backlog.rows} changes of {backlog.case.name}; "
            f"their last values: {seen.last}, those in MySQL: {backlog.truth}"
        )


def _run(
    side: Side, backlog: Backlog, seen: Seen, *, began: float, ended: float, cost: meter.Cost, others: float
) -> Run:
    rows, took = backlog.rows, ended - began
    return Run(
        side=side.name,
        cold_rows_per_s=rows / took,
        warm_rows_per_s=(rows - rows // 2) / (ended - seen.half_at),
        cpu_s_per_million=cost.cpu_s / rows * 1e6,
        peak_mb=cost.peak_bytes / 1e6,
        seconds=took,
        event_mb=seen.value_bytes / 1e6,
        elsewhere=others / took,
    )
