"""What a process and its children cost, as Linux counts it in /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU time of a process, its threads and its children; peak resident memory, summed over the live ones."""

    cpu_s: float
    peak_bytes: int


def cost(pid: int) -> Cost:
    """Since its start. Raises `OSError` if the process is gone."""
    members = [pid, *_below(pid)]
    return Cost(cpu_s=sum(map(_cpu_s, members)), peak_bytes=sum(map(_peak_bytes, members)))


def cpu_s(pids: Iterable[int]) -> float:
    """CPU time of these processes alone."""
    return sum(map(_cpu_s, pids))


def machine_busy_s() -> float:
    """CPU time that anybody has used since boot, stolen time included."""
    user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(
        int, (_PROC / "stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS_PER_S


def _cpu_s(pid: int) -> float:
    fields = _stat(pid)
    return sum(map(int, fields[11:15])) / _TICKS_PER_S  # utime, stime, and those of children that were waited for


def _peak_bytes(pid: int) -> int:
    for line in (_PROC / str(pid) / "status").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _stat(pid: int) -> list[str]:
    text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    # The second field is the command's name in brackets and may hold anything.
    return text.rpartition(")")[2].split()


def _below(pid: int) -> list[int]:
    children = [
        int(child)
        for thread in (_PROC / str(pid) / "task").iterdir()
        for child in (thread / "children").read_text(encoding="ascii").split()
    ]
    return [*children, *(deeper for child in children for deeper in _below(child))]
