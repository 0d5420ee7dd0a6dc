"""One audit or repair of a pipeline at a time, of all that keep their reports in the same folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from auditor.shelf import folder
from schemas.errors import ConfigError, LockedError


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the pipeline's lock; the system lets go of it when the process ends. Raises `LockedError` at once."""
    place = folder(name) / "lock"
    try:
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigError(
            f"the lock cannot be taken: {error.strerror}",
            where=str(place),
            hint="Run audits and repairs as the user whose folder it is, or set XDG_STATE_HOME.",
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(
                f"another audit or repair of `{name}` is running", where=str(place), hint="Wait until it has ended."
            ) from None
        yield
    finally:
        os.close(descriptor)
