"""Which processors a process may use."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def pinned(places: Iterable[tuple[int, set[int]]]) -> Iterator[None]:
    """Each process, with all its threads, on its processors; afterwards on all again."""
    everywhere = os.sched_getaffinity(0)
    chosen = list(places)
    for pid, processors in chosen:
        _pin(pid, processors)
    try:
        yield
    finally:
        for pid, _ in chosen:
            _pin(pid, everywhere)


def _pin(pid: int, processors: set[int]) -> None:
    # A new thread inherits from the one that starts it. A process that was measured may be gone by now.
    with suppress(FileNotFoundError):
        for task in (Path("/proc") / str(pid) / "task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), processors)
