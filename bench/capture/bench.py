"""All cases, all sides, turn by turn."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.capture import debezium
from bench.capture.backlog import Backlog, backlog, forget
from bench.capture.cases import Case
from bench.capture.debezium import Debezium
from bench.capture.decode import decode
from bench.capture.measure import Run, Side, measure
from bench.capture.publish import publish
from bench.capture.raw_binlog import read_raw
from bench.capture.report import OURS, Result
from bench.capture.tidemark import Tidemark
from bench.capture.topics import Topics
from bench.servers import Servers
from ops.settings import CdcSettings
from stack.watcher import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured. `cdc`: options of `[cdc]` that differ from the defaults."""

    rounds: int
    cdc: Mapping[str, Any]
    with_debezium: bool = True


class Bench:
    """Works on one pair of servers, in one folder."""

    def __init__(self, servers: Servers, folder: Path, plan: Plan, say: Report) -> None:
        self._servers = servers
        self._folder = folder
        self._plan = plan
        self._say = say
        self._topics = Topics(servers.kafka)

    def run(self, case: Case, rows: int) -> Result:
        """One case: a backlog of so many rows, captured by every side in each round."""
        db = f"bench_{os.getpid()}_{case.name.replace('-', '_')}"
        rival = Debezium(self._servers, self._folder / db, db, self._say) if self._plan.with_debezium else None

        def prepared() -> None:
            if rival is not None:
                rival.prime(self._topics)

        self._say(f"{case.name}: writing {rows:,} rows")
        with backlog(self._servers.mysql, case, rows, db, prepared) as found:
            runs = [
                self._measured(side, found)
                for number in range(self._plan.rounds)
                for side in self._sides(found, rival, number)
            ]
            limits = self._limits(found)
        if self._servers.mysql.pid:
            forget(self._servers.mysql)
        return Result(
            case=case.name, what=case.what, rows=rows, binlog_mb=found.binlog_bytes / 1e6, runs=runs, limits=limits
        )

    def _sides(self, found: Backlog, rival: Debezium | None, number: int) -> Iterator[Side]:
        ours = Tidemark(self._servers, self._folder, self._plan.cdc)
        name = f"tm_{found.db}_{number}"
        if rival is not None:
            yield Side(name=debezium.DEFAULTS.name, prefix=rival.prefix, start=lambda: rival.start(debezium.DEFAULTS))
        yield Side(name=OURS, prefix=name, start=lambda: ours.start(name, found))
        if rival is not None:
            yield Side(name=debezium.TUNED.name, prefix=rival.prefix, start=lambda: rival.start(debezium.TUNED))

    def _measured(self, side: Side, found: Backlog) -> Run:
        run = measure(side, found, self._topics, self._servers.pids)
        self._say(
            f"{found.case.name}: {side.name}: {run.cold_rows_per_s:,.0f} rows/s cold, {run.warm_rows_per_s:,.0f} warm, "
            f"{run.cpu_s_per_million:.1f} CPU s/M, {run.peak_mb:,.0f} MB ({run.elsewhere:.2f} CPUs busy elsewhere)"
        )
        return run

    def _limits(self, found: Backlog) -> dict[str, Sequence[float]]:
        cdc, mysql = CdcSettings(**self._plan.cdc), self._servers.mysql
        ways: dict[str, Callable[[], float]] = {
            "binlog_read": lambda: read_raw(mysql, found),
            "decode": lambda: decode(mysql, found, cdc)[0],
            "publish": lambda: publish(self._servers, self._topics, found, cdc)[0],
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(self._plan.rounds):
            for name, way in ways.items():
                taken[name].append(found.rows / way())
                self._say(f"{found.case.name}: {name}: {taken[name][-1]:,.0f} rows/s")
        return dict(taken)
