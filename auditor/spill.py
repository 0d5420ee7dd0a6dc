"""The folder that a store spills into. A killed audit leaves its own behind; whoever makes the next one removes it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from schemas.errors import InconclusiveError

_PREFIX = "tidemark-audit-"
_YOUNG_S = 60  # one that has just been made is not locked yet


class Spill:
    """Locked as long as it is in use: a process id would say nothing of another container's on the same volume.

    Raises `InconclusiveError` if it cannot be made.
    """

    def __init__(self) -> None:
        try:
            tidy(Path(tempfile.gettempdir()))
            self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX)
            self._descriptor = os.open(self._folder.name, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise unroomy("a folder to sort keys in cannot be made", error, _where()) from error
        with suppress(OSError):  # NFS locks no folders; then `tidy` cannot either, so it removes none
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    @property
    def place(self) -> Path:
        return Path(self._folder.name)

    def close(self) -> None:
        self._folder.cleanup()
        os.close(self._descriptor)


def unroomy(what: str, error: Exception, where: str) -> InconclusiveError:
    """The error for what does not fit into memory or on the disk."""
    return InconclusiveError(
        f"{what}: {str(error).splitlines()[0]}", where=where,
        hint="Raise [audit] memory, or give TMPDIR more room.",
    )  # fmt: skip


def _where() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:  # none that can be written to
        return os.environ.get("TMPDIR", "")


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
