"""SIGTERM ends cdc with exit code 0 within 10 s, whatever it is waiting for; nothing is lost by it."""

from __future__ import annotations

import socket
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


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def stopped(process: Cdc) -> None:
    began = time.monotonic()
    assert process.stop(12) == 0, process.said
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("how", ["refuses", "is deaf"])
@pytest.mark.parametrize("server", ["mysql", "kafka"])
def test_while_waiting_for_a_server(cdc_settings, start: Callable[..., Cdc], deaf: int, server: str, how: str) -> None:
    port = deaf if how == "is deaf" else free_port()
    place = {"source": {"port": port}} if server == "mysql" else {"kafka": {"bootstrap_servers": f"127.0.0.1:{port}"}}
    process = start(cdc_settings(service=PATIENT, **place))
    if how == "refuses":
        process.await_said("trying again")
    else:
        time.sleep(4)  # nothing is said while it waits for the first word
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
        writer.join(10)
    assert "abandoned" not in process.said
    again = start(settings)
    until(lambda: len(read_topics(kafka.bootstrap_servers, [topic])) >= len(written), "all rows", 60)
    stopped(again)
    assert sorted(r.key["id"] for r in read_topics(kafka.bootstrap_servers, [topic])) == written


def test_a_second_signal_ends_at_once(cdc_settings, start, deaf) -> None:
    process = start(cdc_settings(service=PATIENT, source={"port": deaf}))
    time.sleep(3)
    process.process.terminate()
    time.sleep(0.5)  # two at once are one
    process.process.terminate()
    assert process.wait(3) == 130


def test_start_gives_up_in_time(cdc_settings, start) -> None:
    process = start(cdc_settings(service={"start_timeout_s": 2}, source={"port": free_port()}))
    assert process.wait(20) == 3
    assert "does not answer" in process.said
