"""Processes that outlive us: started in a session of their own, found again, ended exactly.

A process is known by two marks, and neither can be mistaken for a stranger's:

- pid and start time, written after the spawn; a reused pid has another start time;
- a random token in its environment, written to the record *before* the spawn. It finds what was started by
  a process that was killed between spawn and record, and what a launcher script started in its turn.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

TOKEN = "TIDEMARK_STACK_TOKEN"  # noqa: S105  (a mark on a process, no secret)
_START_TOLERANCE_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """What is known about one started process; `pid` is 0 between the record and the spawn."""

    token: str
    pid: int = 0
    started_s: float = 0.0

    def members(self) -> list[psutil.Process]:
        """Every live process that this record stands for."""
        found = {process.pid: process for process in _with_token(self.token)}
        main = _by_pid(self.pid, self.started_s)
        if main is not None:
            found.setdefault(main.pid, main)
        return list(found.values())


def read_record(path: Path) -> ProcessRecord | None:
    """The record at `path`; None if there is none, or if it was cut off while being written."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return ProcessRecord(token=fields["token"], pid=fields["pid"], started_s=fields["started_s"])
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
        return None


def write_record(path: Path, record: ProcessRecord) -> None:
    """Replace the record in one step."""
    fields = {"token": record.token, "pid": record.pid, "started_s": record.started_s}
    write_atomically(path, json.dumps(fields))


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file that is either the old one or the new one, whenever we are killed."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def spawn(command: Sequence[str], *, record: Path, log: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, its output appended to `log`, known by `record`."""
    marked = ProcessRecord(token=secrets.token_hex(16))
    write_record(record, marked)
    with log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**env, TOKEN: marked.token},
            cwd=log.parent,
            start_new_session=True,
        )
    # Reaps at once, however long we live, and holds the Popen so that nothing warns about it.
    threading.Thread(target=child.wait, name=f"reap-{child.pid}", daemon=True).start()
    adopt(record, child.pid)
    return child


def adopt(record: Path, pid: int) -> None:
    """Make `pid` the main process of an existing record (a launcher handed over to its server)."""
    marked = read_record(record)
    process = _alive(pid)
    if marked is not None and process is not None:
        write_record(record, replace(marked, pid=pid, started_s=process.create_time()))


def end(record: ProcessRecord, *, grace_s: float) -> None:
    """Ask politely, wait `grace_s`, then kill; returns when nothing of it is alive."""
    members = record.members()
    if grace_s > 0:
        _each(members, "terminate")
        _gone(members, grace_s)
    deadline = time.monotonic() + 10
    while (members := record.members()) and time.monotonic() < deadline:
        _each(members, "kill")
        _gone(members, 1)


def _each(processes: Sequence[psutil.Process], verb: str) -> None:
    for process in processes:
        try:
            getattr(process, verb)()  # psutil compares the start time again before it signals
        except psutil.NoSuchProcess:
            continue


def _gone(processes: Sequence[psutil.Process], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while any(_is_alive(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.02)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _alive(pid: int) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None
    return process if _is_alive(process) else None


def _by_pid(pid: int, started_s: float) -> psutil.Process | None:
    process = _alive(pid) if pid else None
    if process is None or abs(process.create_time() - started_s) > _START_TOLERANCE_S:
        return None
    return process


def _with_token(token: str) -> list[psutil.Process]:
    mark = f"{TOKEN}={token}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:  # not ours, or gone by now
            continue
        process = _alive(int(entry.name)) if mark in variables else None
        if process is not None:
            found.append(process)
    return found
