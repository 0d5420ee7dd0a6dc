"""What a benchmark ran on."""

from __future__ import annotations

import platform
from pathlib import Path


def machine() -> str:
    """Processors, kernel and Python, in one line."""
    model = "unknown CPU"
    cpus = 0
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model, cpus = line.partition(":")[2].strip(), cpus + 1
    return f"{cpus} CPUs ({model}), Linux {platform.release()}, Python {platform.python_version()}"
