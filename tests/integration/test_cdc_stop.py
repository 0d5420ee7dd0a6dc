"""SIGTERM ends cdc with exit code 0 in time, whatever it is waiting for; nothing is lost by it.

It gives up whatever takes longer, a second before its `stop_timeout_s`; the rest is for a machine that is busy.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from cdc_process import Cdc, execute
from runner import until
from stack.ports import free_port
from topic import read_topics

pytestmark = pytest.mark.stack
PATIENT = {"start_timeout_s": 60}


class Deaf:
    """Accepts connections and never says a word."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._callers: list[socket.socket] = []
        self.port = server.getsockname()[1]

    def await_caller(self) -> None:
        """Whoever has called waits for the first word from now on."""
        self._server.settimeout(120)
        self._callers.append(self._server.accept()[0])

    def close(self) -> None:
        for caller in self._callers:
            caller.close()


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = Deaf(server)
        yield found
        found.close()


def stopped(process: Cdc) -> None:
    began = time.monotonic()
    assert process.stop() == 0, process.said
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("how", ["refuses", "is deaf"])
@pytest.mark.parametrize("server", ["mysql", "kafka"])
def test_while_waiting_for_a_server(cdc_settings, start: Callable[..., Cdc], deaf: Deaf, server: str, how: str) -> None:
    port = deaf.port if how == "is deaf" else free_port()
    place = {"source": {"port": port}} if server == "mysql" else {"kafka": {"bootstrap_servers": f"127.0.0.1:{port}"}}
    process = start(cdc_settings(service={**PATIENT, "stop_timeout_s": 4}, **place))
    if how == "refuses":
        process.await_said("trying again")
    else:
        deaf.await_caller()
    stopped(process)


def test_while_idle(cdc_settings, start, stored) -> None:
    settings = cdc_settings()
    process = start(settings)
    until(lambda: stored(settings).position, "the first position")
    stopped(process)
    assert '"stopped"' in process.said


def test_under_load(cdc_settings, start, stored, mysql, table, kafka) -> None:
    settings = cdc_settings()
    process = start(settings)
    until(lambda: stored(settings).position, "the first position")
    over = threading.Event()
    written: list[int] = []

    def write() -> None:
        with mysql.connect(database=table) as connection:
            while not over.is_set():
                first = len(written)
                execute(connection, "INSERT INTO t VALUES " + ",".join(f"({first + n}, 0)" for n in range(50)))
                written.extend(range(first, first + 50))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        topic = f"{settings.source.name}.{table}.t"
        until(lambda: read_topics(kafka.bootstrap_servers, [topic]), "the first rows")
        stopped(process)
    finally:
        over.set()
        writer.join(60)
    again = start(settings)
    until(lambda: len(read_topics(kafka.bootstrap_servers, [topic])) >= len(written), "all rows")
    stopped(again)
    assert sorted(r.key["id"] for r in read_topics(kafka.bootstrap_servers, [topic])) == written


def test_a_second_signal_ends_at_once(cdc_settings, start, deaf) -> None:
    process = start(cdc_settings(service=PATIENT, source={"port": deaf.port}))
    deaf.await_caller()
    for _ in range(120):  # signals that nobody has seen yet become one
        process.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.process.wait(0.5)
            break
    assert process.wait(1) == 130  # one that ends in order, or is given up, has 0


def test_start_gives_up_in_time(cdc_settings, start) -> None:
    process = start(cdc_settings(service={"start_timeout_s": 2}, source={"port": free_port()}))
    assert process.wait() == 3
    assert "does not answer" in process.said
