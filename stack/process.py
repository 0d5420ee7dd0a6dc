"""Processes that outlive us: started in a session of their own, found again, ended exactly.

A process is known by two marks, and neither can be mistaken for a stranger's:

- pid, start time and boot, written after the spawn; a reused pid has another start time;
- a random token in its environment, written to the record *before* the spawn. It finds what was started by
  a process that was killed between spawn and record, and what a launcher script started in its turn.
"""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stack import files, proc
from stack.proc import Identity

MARK = "TIDEMARK_STACK_PROCESS"
_POLL_S = 0.02
_KILL_TIMEOUT_S = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """What is known about one started process; `main` is None between the record and the spawn."""

    token: str
    main: Identity | None = None

    def members(self) -> list[Identity]:
        """Every live process that this record stands for, the main one first."""
        found = [self.main] if self.main is not None and proc.is_alive(self.main) else []
        return [*found, *(other for other in proc.with_variable(MARK, self.token) if other != self.main)]


def read_record(path: Path) -> ProcessRecord | None:
    """The record at `path`, if there is one."""
    fields = files.read_json(path)
    if "token" not in fields:
        return None
    main = Identity(**fields["main"]) if fields.get("main") else None
    return ProcessRecord(token=fields["token"], main=main)


def write_record(path: Path, record: ProcessRecord) -> None:
    main = record.main
    mark = {"pid": main.pid, "start_ticks": main.start_ticks, "boot": main.boot} if main else None
    files.write(path, json.dumps({"token": record.token, "main": mark}))


def spawn(command: Sequence[str], *, record: Path, log: Path, env: Mapping[str, str]) -> None:
    """Start `command` in a session of its own, its output appended to `log`, known by `record`."""
    marked = ProcessRecord(token=secrets.token_hex(16))
    write_record(record, marked)
    with log.open("ab") as output:
        child = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**env, MARK: marked.token},
            cwd=log.parent,
            start_new_session=True,
        )
    # Reaps at once, however long we live; and it holds the Popen, so that nothing warns about it.
    threading.Thread(target=child.wait, name=f"reap-{child.pid}", daemon=True).start()
    write_record(record, replace(marked, main=proc.identify(child.pid)))


def adopt(path: Path, pid: int) -> None:
    """Make `pid` the main process of an existing record: a launcher has handed over to its server."""
    record = read_record(path)
    if record is not None:
        write_record(path, replace(record, main=proc.identify(pid)))


def end(record: ProcessRecord, *, grace_s: float) -> bool:
    """Ask politely, wait `grace_s`, then kill. True if nothing of it is alive any more."""
    if grace_s > 0:
        members = record.members()
        _signal(members, signal.SIGTERM)
        _signal(members, signal.SIGCONT)  # a paused process would not hear it
        _await(members, grace_s)
    deadline = time.monotonic() + _KILL_TIMEOUT_S
    while (members := record.members()) and time.monotonic() < deadline:
        _signal(members, signal.SIGKILL)
        _await(members, 1)
    return not members


def _signal(processes: Iterable[Identity], number: signal.Signals) -> None:
    for process in processes:
        proc.send(process, number)


def _await(processes: Sequence[Identity], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while any(map(proc.is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
