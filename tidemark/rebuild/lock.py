"""One rebuild of a table at a time: on this machine by a lock of the system, elsewhere by the group's members."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ops.paths import state_home
from ops.stop import Stop
from schemas.errors import ConfigError, LockedError
from tidemark.rebuild.group import Groups

_POLL_S = 0.5
_DEAD_AFTER_S = 15  # the group forgets a member that was killed after 6 s, at most 10


@contextmanager
def locked(source: str, table: str) -> Iterator[None]:
    """Hold the table's lock on this machine. Raises `LockedError` at once."""
    folder = state_home() / "rebuilds"
    place = folder / f"{source}.{hashlib.sha256(table.encode()).hexdigest()[:16]}.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigError(
            f"the lock cannot be made: {error.strerror}", where=str(place), hint="Set XDG_STATE_HOME."
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _running(table, "on this machine") from None
        yield
    finally:
        os.close(descriptor)


def await_alone(stop: Stop, groups: Groups, group: str, table: str) -> None:
    """Wait until a rebuild that was killed is forgotten. Raises `LockedError` if there is one that lives."""
    deadline = time.monotonic() + _DEAD_AFTER_S
    while others := groups.members(group):
        if time.monotonic() > deadline:
            raise _running(table, f"as {', '.join(others)}")
        if stop.wait(_POLL_S):
            raise KeyboardInterrupt


def _running(table: str, where: str) -> LockedError:
    return LockedError(
        f"another rebuild of {table} is running {where}", where=table, hint="Wait until it has ended, or end it."
    )
