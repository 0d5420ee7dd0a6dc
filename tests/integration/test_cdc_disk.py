"""MySQL's disk: full, slow, or without the end of its binlog. cdc waits, lags, or stops; it never goes on by guess."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pymysql
import pytest

import health_probe
from cdc_process import Cdc, execute
from ops.settings import Settings
from runner import until
from servers import Kafka
from stack import identity
from stack.mysql import MysqlServer
from stack.ports import free_port
from topic import read_topics

pytestmark = pytest.mark.stack


class Place:
    """A server of the test's own with a table `t (id, pad)`, and cdc on it."""

    def __init__(self, folder: Path, kafka: Kafka, name: str, args: Sequence[str]) -> None:
        self.server = MysqlServer(folder / "mysql", args=args)
        self.server.start()
        self.name = name
        self.listen = f"127.0.0.1:{free_port()}"
        self._kafka, self._log = kafka, folder / "cdc.log"
        self.execute(f"CREATE DATABASE {name}", f"CREATE TABLE {name}.t (id INT PRIMARY KEY, pad LONGTEXT)")

    def cdc(self) -> Cdc:
        root = self.server.root
        tree = {
            "source": {
                "name": self.name, "port": self.server.port, "user": root.user, "password": root.password, "tls": "off",
            },
            "kafka": {"bootstrap_servers": self._kafka.bootstrap_servers},
            "cdc": {"tables": [f"{self.name}.*"], "heartbeat_s": 10, "linger_s": 0.01},
            "service": {"cdc_listen": self.listen},
        }  # fmt: skip
        return Cdc(Settings.model_validate(tree), self._log)

    def execute(self, *statements: str) -> None:
        with self.server.connect(timeout_s=120) as connection:
            execute(connection, *statements)

    def insert(self, *numbers: int, pad: int = 1) -> None:
        rows = ",".join(f"({number}, REPEAT('x', {pad}))" for number in numbers)
        self.execute(f"INSERT INTO {self.name}.t VALUES {rows}")

    def committed(self) -> list[int]:
        with self.server.connect(timeout_s=120) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT id FROM {self.name}.t ORDER BY id")
            return [row[0] for row in cursor.fetchall()]

    def published(self) -> list[int]:
        found = read_topics(self._kafka.bootstrap_servers, [f"{self.name}.{self.name}.t"])
        return [r.key["id"] for r in sorted(found, key=lambda r: r.value["source"]["seq"])]

    def await_published(self, running: Cdc, numbers: Sequence[int], timeout_s: float = 180) -> None:
        def seen() -> bool:
            assert running.process.poll() is None, running.said[-3000:]
            return len(self.published()) >= len(numbers)

        until(seen, f"{len(numbers)} events", timeout_s)
        assert self.published() == list(numbers)


@pytest.fixture
def make_place(tmp_path: Path, kafka: Kafka, unique: str) -> Iterator[Callable[..., Place]]:
    made: list[Place] = []

    def make(*args: str) -> Place:
        made.append(Place(tmp_path, kafka, f"d{unique[-20:]}".replace("__", "_"), args))
        return made[-1]

    yield make
    for place in made:
        place.server.stop()


# The binlog's end is lost: a power failure where sync_binlog is not 1.


def lose_end(place: Place, since_bytes: int) -> None:
    """kill -9, and the newest binlog as it would be if only so many bytes had reached the disk."""
    place.server.kill()
    newest = max(place.server.data.glob("bin.0*"))
    os.truncate(newest, since_bytes)
    place.server.start()


def newest_bytes(place: Place) -> int:
    return max(place.server.data.glob("bin.0*")).stat().st_size


@pytest.mark.parametrize("meanwhile", ["nothing", "as many transactions as were lost"])
def test_the_binlog_lost_its_end(make_place: Callable[..., Place], meanwhile: str) -> None:
    """What was published is not in the server's history any more; a new transaction has taken its GTID."""
    place = make_place("--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0", "--innodb-flush-log-at-timeout=2000")
    with place.cdc() as first:
        first.await_said('"first_start"')
        place.insert(1)
        kept = newest_bytes(place)
        for number in (2, 3, 4):
            place.insert(number)
        until(lambda: 4 in place.published(), "the last row")
        if meanwhile != "nothing":
            assert first.stop() == 0
        lose_end(place, kept)
        if meanwhile != "nothing":
            for number in range(10, 20):
                place.insert(number)
        with first if meanwhile == "nothing" else place.cdc() as running:
            assert running.wait() == 5, running.said
    assert "position-lost" in running.said
    assert "ends before" in running.said
    assert not set(place.published()) & set(range(10, 20))


# The disk is full.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder of 4 MiB for binlogs."""
    folder = tmp_path / "binlogs"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("a small file system cannot be mounted without being root")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tidemark-test", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.decode()}")
    identity.give(folder)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Writer:
    """Inserts rows of 100 kB until a commit gets no answer."""

    def __init__(self, place: Place) -> None:
        self.acknowledged: list[int] = []
        self._place = place
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(pymysql.Error, OSError):
            for number in range(100, 1000):
                self._place.insert(number, pad=100_000)
                self.acknowledged.append(number)

    def join(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()


def fill(place: Place, folder: Path) -> Writer:
    writer = Writer(place)
    until(lambda: shutil.disk_usage(folder).free == 0, "a full disk")
    return writer


def grow(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)


def waiting(place: Place, running: Cdc, writer: Writer) -> None:
    """Everything acknowledged is published, nothing else is, and cdc is there."""
    place.await_published(running, writer.acknowledged)
    assert running.process.poll() is None
    said = health_probe.details(place.listen)
    assert said["sessions"] == 1
    # The stream flows: nothing that was committed is behind.
    until(lambda: health_probe.is_ready(place.listen), "ready")


def test_the_disk_of_the_binlog_is_full(make_place: Callable[..., Place], small_disk: Path) -> None:
    place = make_place(f"--log-bin={small_disk}/bin")
    with place.cdc() as running:
        running.await_said('"first_start"')
        writer = fill(place, small_disk)
        waiting(place, running, writer)
        place.server.kill()  # mysqld looks for space once a minute; the soak test waits for that
        writer.join()
        grow(small_disk)
        place.server.start()
        place.insert(5000)
        place.await_published(running, place.committed())
        assert set(writer.acknowledged) <= set(place.committed())
        assert running.stop() == 0


@pytest.mark.soak
def test_the_disk_of_the_binlog_gets_space_again(make_place: Callable[..., Place], small_disk: Path) -> None:
    place = make_place(f"--log-bin={small_disk}/bin")
    with place.cdc() as running:
        running.await_said('"first_start"')
        writer = fill(place, small_disk)
        waiting(place, running, writer)
        grow(small_disk)
        until(lambda: _answers(place), "MySQL's minute to be over", 120)
        writer.join()
        place.insert(5000)
        place.await_published(running, place.committed())
        assert running.stop() == 0


def _answers(place: Place) -> bool:
    try:
        place.insert(4000)
    except (pymysql.Error, OSError):
        return False
    return True


# The disk is slow.


@contextlib.contextmanager
def slow_fsync(pid: int, delay_ms: int) -> Iterator[None]:
    """Every fsync of a process takes longer. Skips the test where strace is missing or not allowed."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed; a slow line is tested in source/test_network.py all the same")
    calls = "fsync,fdatasync"
    inject = f"inject={calls}:delay_enter={delay_ms * 1000}"
    command = [strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", inject, "-p", str(pid)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: _traced(pid) or process.poll() is not None, "strace")
        if process.poll() is not None:
            pytest.skip(f"strace may not look into another process here: {process.stderr and process.stderr.read()}")
        yield
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _traced(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return "TracerPid:\t0" not in status


def test_the_disk_is_slow(make_place: Callable[..., Place]) -> None:
    place = make_place()
    with place.cdc() as running:
        running.await_said('"first_start"')
        with slow_fsync(place.server.pid, 500):
            for number in range(4):
                place.insert(number)
                place.await_published(running, list(range(number + 1)))
                until(lambda: health_probe.is_ready(place.listen), "ready")
        place.await_published(running, place.committed())
        assert health_probe.details(place.listen)["sessions"] == 1
        assert running.stop() == 0
