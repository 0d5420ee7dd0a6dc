"""The folder that a store spills into. A killed audit leaves its own behind; whoever makes the next one removes it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

_PREFIX = "tidemark-audit-"
_YOUNG_S = 60  # one that has just been made is not locked yet


class Spill:
    """Locked as long as it is in use: a process id would say nothing of another container's on the same volume."""

    def __init__(self) -> None:
        tidy(Path(tempfile.gettempdir()))
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX)
        self._descriptor = os.open(self._folder.name, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    @property
    def place(self) -> Path:
        return Path(self._folder.name)

    def close(self) -> None:
        self._folder.cleanup()
        os.close(self._descriptor)


def tidy(folder: Path) -> None:
    """Remove what audits of this user left in it when they were killed."""
    for place in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # somebody else's, or somebody else was quicker
            about = place.stat()
            if about.st_uid == os.geteuid() and time.time() - about.st_mtime >= _YOUNG_S and not _in_use(place):
                shutil.rmtree(place, ignore_errors=True)


def _in_use(place: Path) -> bool:
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
