"""Processes are found again, ended exactly, and never mistaken for others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stack import proc, process
from stack.proc import identify, is_alive
from stack.process import ProcessRecord, end, read_record, spawn, write_record


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(["sleep", "60"])
    yield child
    child.kill()
    child.wait()


def start(folder: Path, *command: str) -> ProcessRecord:
    spawn(command, record=folder / "process.json", log=folder / "log", env=dict(os.environ))
    record = read_record(folder / "process.json")
    assert record is not None
    return record


def wait_until(condition: object, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_was_started_is_found_and_ended(tmp_path: Path) -> None:
    record = start(tmp_path, "sleep", "60")
    assert record.main is not None
    assert record.members() == [record.main]
    assert os.getsid(record.main.pid) == record.main.pid, "not in a session of its own"
    assert end(record, grace_s=60)
    assert record.members() == []


def test_a_long_lived_parent_has_no_zombies(tmp_path: Path) -> None:
    record = start(tmp_path, "sleep", "1")
    assert record.main is not None
    wait_until(lambda: not Path(f"/proc/{record.main.pid}").exists())  # type: ignore[union-attr]


def test_who_does_not_hear_sigterm_is_killed(tmp_path: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    record = start(tmp_path, sys.executable, "-c", deaf)
    wait_until(lambda: "deaf" in (tmp_path / "log").read_text())
    assert end(record, grace_s=0.2)
    assert record.members() == []


def test_a_paused_process_is_asked_politely_too(tmp_path: Path) -> None:
    polite = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('bye', flush=True)))\n"
        "print('hello', flush=True)\ntime.sleep(60)"
    )
    record = start(tmp_path, sys.executable, "-c", polite)
    wait_until(lambda: "hello" in (tmp_path / "log").read_text())
    assert record.main is not None
    proc.send(record.main, signal.SIGSTOP)
    assert end(record, grace_s=60)
    assert "bye" in (tmp_path / "log").read_text()


def test_what_a_launcher_left_behind_is_found(tmp_path: Path) -> None:
    record = start(tmp_path, "sh", "-c", "sleep 60 & echo $!; sleep 0.3")
    wait_until(lambda: record.main is None or not is_alive(record.main))
    (left,) = record.members()
    assert left.pid == int((tmp_path / "log").read_text())
    assert end(record, grace_s=60)


def test_a_crash_between_record_and_spawn_leaves_nothing_unnoticed(tmp_path: Path) -> None:
    record = start(tmp_path, "sleep", "60")
    write_record(tmp_path / "process.json", replace(record, main=None))  # as it stands until the spawn returns
    found = read_record(tmp_path / "process.json")
    assert found is not None
    assert found.members() == [record.main]
    assert end(found, grace_s=60)


@pytest.mark.parametrize("difference", [{"start_ticks": 1}, {"boot": "another"}])
def test_a_reused_pid_is_left_alone(bystander: subprocess.Popen[bytes], difference: dict[str, object]) -> None:
    there = identify(bystander.pid)
    assert there is not None
    record = ProcessRecord(token="nobody has it", main=replace(there, **difference))
    assert record.members() == []
    assert end(record, grace_s=0)
    assert bystander.poll() is None


def test_a_signal_hits_the_same_process_or_nobody(bystander: subprocess.Popen[bytes]) -> None:
    there = identify(bystander.pid)
    assert there is not None
    proc.send(replace(there, start_ticks=there.start_ticks + 1), signal.SIGKILL)
    time.sleep(0.05)
    assert bystander.poll() is None
    proc.send(there, signal.SIGKILL)
    assert bystander.wait(60) == -signal.SIGKILL


def test_a_name_full_of_brackets_is_read(tmp_path: Path) -> None:
    odd = tmp_path / ") R 1 (x"
    odd.symlink_to("/bin/sleep")
    child = subprocess.Popen([odd, "60"])
    try:
        found = identify(child.pid)
        assert found is not None
        assert found.start_ticks > 1000
    finally:
        child.kill()
        child.wait()


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and not reaped
    assert identify(child.pid) is None
    child.wait()


def test_a_zombie_whose_threads_live_is_alive() -> None:
    """As after a kill -9 of a large server: its ports are taken until the last thread is gone."""
    script = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "print('two', flush=True)\n"
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "two\n"
        state = Path(f"/proc/{child.pid}/stat")
        wait_until(lambda: state.read_text().rpartition(")")[2].split()[0] == "Z")
        assert identify(child.pid) is not None
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("text", ["", "{", '{"main": null}'])
def test_a_record_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "process.json").write_text(text)
    assert read_record(tmp_path / "process.json") is None


def test_records_are_the_owners_business(tmp_path: Path) -> None:
    write_record(tmp_path / "process.json", ProcessRecord(token="t"))
    assert (tmp_path / "process.json").stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["process.json"]


def test_the_mark_is_no_secret_variable_of_tidemark() -> None:
    assert "__" not in process.MARK, "ops.config reads TIDEMARK_<SECTION>__<KEY>"
