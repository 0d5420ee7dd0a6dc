"""One process at a time per folder, by `flock`: the kernel lets go when the holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack.watcher import Watcher

_patient = Watcher()


@contextmanager
def locked(path: Path, watcher: Watcher | None = None) -> Iterator[None]:
    """Hold the lock file at `path`, waiting for whoever has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _try(descriptor):
            (watcher or _patient).sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
