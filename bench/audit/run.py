"""Runs `tidemark audit run` as a user does, and measures it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.meter import Cost, cost

_LOOK_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One audit. `searches`: requests that searched or listed; `judge_s`: asking again for what differed."""

    name: str
    found: int
    searches: int
    requests: int
    read_s: float
    search_s: float
    judge_s: float
    audit_s: float
    whole_s: float
    cpu_s: float
    peak_bytes: int
    axes: str


def configure(folder: Path, source: str, kafka: str, url: str) -> Path:
    """A configuration for a pipeline without MySQL: the audit does not need one."""
    place = folder / "tidemark.toml"
    place.write_text(
        f'[source]\nname = "{source}"\nhost = "127.0.0.1"\nuser = "nobody"\npassword = "none"\n'
        f'[kafka]\nbootstrap_servers = "{kafka}"\n[elasticsearch]\nurls = ["{url}"]\n'
        '[audit]\nreports_index = ""\n',
        encoding="utf-8",
    )
    return place


def audit(config: Path, name: str, wanted: int) -> Run:
    """Raises `BenchError` unless exactly so many documents are found to be wrong."""
    command = [sys.executable, "-m", "tidemark", "audit", "run", "--config", str(config), "--json"]
    began = time.monotonic()
    environment = os.environ | {"XDG_STATE_HOME": str(config.parent / "state")}
    out, seen = config.with_name("report.json"), Cost(cpu_s=0, peak_bytes=0)
    with out.open("wb") as stream, subprocess.Popen(command, stdout=stream, env=environment) as process:
        while process.poll() is None:
            with suppress(OSError):  # it has just ended
                now = cost(process.pid)
                seen = Cost(cpu_s=max(seen.cpu_s, now.cpu_s), peak_bytes=max(seen.peak_bytes, now.peak_bytes))
            time.sleep(_LOOK_S)
    whole_s = time.monotonic() - began
    if process.returncode not in (0, 4):
        raise BenchError(f"the audit ended with {process.returncode}: {out.read_text(encoding='utf-8')[:500]}")
    report = json.loads(out.read_bytes())["tables"][0]
    found = sum(report["counts"].values())
    if found != wanted:
        raise BenchError(f"{name}: the audit found {found} documents, {wanted} are wrong")
    return _run(name, report, found, whole_s, seen)


def _run(name: str, report: dict[str, Any], found: int, whole_s: float, seen: Cost) -> Run:
    took, levels = report["cost"], report["search"]
    return Run(
        name=name,
        found=found,
        searches=sum(level["requests"] for level in levels),
        requests=took["requests"],
        read_s=took["read_s"],
        search_s=took["search_s"],
        judge_s=took["judge_s"],
        audit_s=took["seconds"],
        whole_s=whole_s,
        cpu_s=seen.cpu_s,
        peak_bytes=seen.peak_bytes,
        axes=", ".join(f"{level['axis']} {level['requests']} in {level['seconds']:.2f} s" for level in levels),
    )
