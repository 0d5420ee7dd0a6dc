"""Figures to tables and verdicts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bench.sink.latency import Latency
from bench.sink.race import OTHERS, SIDES, Race
from bench.text_table import text_table

PGSYNC_PER_S = 11_000  # its initial load, measured once on the machine of the targets


@dataclass(slots=True)
class Results:
    """What was measured; what was not is empty."""

    servers: str = ""
    races: list[Race] = field(default_factory=list)
    latency: Latency | None = None
    whole: dict[str, Any] = field(default_factory=dict)
    flat: list[dict[str, Any]] = field(default_factory=list)

    def targets(self) -> list[tuple[str, float, float]]:
        """What is asked, what was found, what should be; a CPU time and a latency should be less."""
        found = []
        for race in self.races:
            least = 0.95 if race.pinned else 0.9
            found.append((f"{race.name}: share of the limit", race.ratio("limit").median, least))
            found.append((f"{race.name}: times helpers.parallel_bulk", race.ratio("helpers").median, 2.5))
            found.append((f"{race.name}: CPU us a document (less)", race.cpu_us("sink", "sink"), 10))
        if self.latency:
            found.append(("commit to searchable, p99 ms (less)", self.latency.percentile(0.99), 2000))
        if self.whole:
            found.append(("binlog to searchable, rows/s", self.whole["per_s"], 5 * PGSYNC_PER_S))
        if len(self.flat) > 1:
            first, last = self.flat[0]["cpu_us"]["sink"], self.flat[-1]["cpu_us"]["sink"]
            found.append(("CPU of the last documents to the first (less)", last / max(first, 0.01), 1.1))
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "servers": self.servers,
            "races": {race.name: race.to_json() for race in self.races},
            "ratios": {race.name: {side: race.ratio(side).to_json() for side in OTHERS} for race in self.races},
            "latency": self.latency.to_json() if self.latency else None,
            "whole": self.whole or None,
            "flat": self.flat,
            "targets": [
                {"what": what, "found": round(value, 3), "wanted": wanted} for what, value, wanted in self.targets()
            ],
        }

    def text(self) -> str:
        parts = [_race(race) for race in self.races]
        if self.latency:
            parts.append(f"commit to searchable: {self.latency.to_json()}")
        if self.whole:
            parts.append(f"binlog to searchable: {self.whole}")
        if self.flat:
            head = ("up to", "docs/s", "sink us", "Elasticsearch us")
            parts.append(text_table(head, [_lap(lap) for lap in self.flat]))
        met = [
            (what, f"{value:,.2f}", f"{wanted:,.2f}", _verdict(what, value, wanted))
            for what, value, wanted in self.targets()
        ]
        parts.append(text_table(("target", "found", "wanted", ""), met))
        return "\n\n".join(parts)


def _race(race: Race) -> str:
    head = (race.name, "docs/s", "own CPU us/doc", "Elasticsearch us/doc", "the sink's speed to it")
    return text_table(head, [_side(race, side) for side in SIDES])


def _side(race: Race, side: str) -> tuple[str, ...]:
    ratio = race.ratio(side).text(2) if side in OTHERS else ""
    cpu = race.cpu_us(side, side), race.cpu_us(side, "elasticsearch")
    return side, race.per_s(side).text(), *(f"{us:.1f}" for us in cpu), ratio


def _lap(lap: dict[str, Any]) -> tuple[str, ...]:
    cpu = lap["cpu_us"]
    return f"{lap['up_to']:,}", f"{lap['per_s']:,}", str(cpu["sink"]), str(cpu.get("elasticsearch", ""))


def _verdict(what: str, value: float, wanted: float) -> str:
    return "met" if (value <= wanted if what.endswith("(less)") else value >= wanted) else "open"
