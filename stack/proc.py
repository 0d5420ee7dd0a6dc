"""What Linux's /proc says about a process, and signals that cannot hit another one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
_ENDED = {"Z", "X", "x"}  # a zombie has ended; its parent has just not looked yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A process, for all time: a pid comes back, the same pid at the same tick of the same boot does not.

    `start_ticks` counts from the boot, so setting the clock does not change it.
    """

    pid: int
    start_ticks: int
    boot: str


@cache
def boot_id() -> str:
    """A UUID that is new after every boot."""
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def identify(pid: int) -> Identity | None:
    """Who lives under this pid now; None if nobody does."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the command's name in brackets and may hold anything, brackets and blanks too.
    fields = text.rpartition(")")[2].split()
    if fields[0] in _ENDED and _threads(pid) <= 1:
        return None
    return Identity(pid=pid, start_ticks=int(fields[19]), boot=boot_id())


def _threads(pid: int) -> int:
    """A killed process is a zombie as soon as its first thread is; the others still hold its ports and files."""
    try:
        return sum(1 for _ in (_PROC / str(pid) / "task").iterdir())
    except OSError:
        return 0


def is_alive(identity: Identity) -> bool:
    """True while that very process lives."""
    return identify(identity.pid) == identity


def send(identity: Identity, number: signal.Signals) -> None:
    """Signal that very process, or nobody."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    try:
        # The descriptor stays with one process, so nothing can change between this look and the signal.
        if is_alive(identity):
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


def with_variable(name: str, value: str) -> Iterator[Identity]:
    """Every live process that was started with this environment variable."""
    wanted = f"{name}={value}".encode()
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:  # not ours to read, or gone by now
            continue
        identity = identify(int(entry.name)) if wanted in variables else None
        if identity is not None:
            yield identity
