"""The line to MySQL goes silent, breaks or lies, and cdc itself is frozen: it says so, goes on, or stops by name."""

from __future__ import annotations

import signal
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import health_probe
from cdc_process import Cdc, execute
from engines import on_native
from fault_proxy import FaultProxy
from outages import World
from runner import until
from stack.kafka import KafkaServer
from stack.mysql import MysqlServer
from stack.ports import free_port

pytestmark = pytest.mark.stack
_TELLTALE = 1_515_852_340


@pytest.fixture
def listen() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture
def proxy(servers_of_own: tuple[MysqlServer, KafkaServer]) -> Iterator[FaultProxy]:
    with FaultProxy(servers_of_own[0].port) as found:
        yield found


@pytest.fixture
def world(make_outage: Callable[..., World], proxy: FaultProxy, listen: str) -> Iterator[World]:
    """A cdc that reaches MySQL through the proxy, under a load that does not."""
    made = make_outage(source={"port": proxy.port}, service={"cdc_listen": listen})
    with made.load:
        made.flows()
        yield made


def await_ready(world: World, listen: str, *, ready: bool = True, timeout_s: float = 120) -> None:
    until(world.running(lambda: health_probe.is_ready(listen) is ready), f"ready: {ready}", timeout_s)


def why(listen: str) -> str:
    status, reason = health_probe.get(listen, "/readyz")
    assert status == 503
    return reason


def silent(world: World, proxy: FaultProxy, listen: str, during_s: float) -> None:
    await_ready(world, listen)
    proxy.stall()
    began = time.monotonic()
    await_ready(world, listen, ready=False)
    assert time.monotonic() - began < 60
    while (left := began + during_s - time.monotonic()) > 0:
        assert health_probe.get(listen, "/livez")[0] == 200
        assert not health_probe.is_ready(listen)
        time.sleep(min(1.0, left))
    until(lambda: any(said in why(listen) for said in ("silent", "does not answer", "timed out")), "the reason")
    proxy.stall(stalled=False)
    await_ready(world, listen)
    world.load.more(20)
    world.verify()


def test_a_silent_line(world: World, proxy: FaultProxy, listen: str) -> None:
    silent(world, proxy, listen, during_s=6)


@pytest.mark.soak
def test_a_line_that_is_silent_for_two_minutes(world: World, proxy: FaultProxy, listen: str) -> None:
    silent(world, proxy, listen, during_s=120)


def test_a_line_that_breaks_again_and_again(world: World, proxy: FaultProxy) -> None:
    proxy.cut = "reset"
    for size in (9000, 20_000, 31_000):  # while connecting, or in the stream
        proxy.down.cut_in = size
        until(world.running(lambda: proxy.down.cut_in > 1 << 40), "the cut")
        world.flows()
    proxy.down.slice_bytes = proxy.up.slice_bytes = 3
    proxy.reset()
    world.flows()
    world.verify()


def test_a_damaged_row_is_not_published(world: World, proxy: FaultProxy) -> None:
    proxy.down.flip_text = struct.pack("<i", _TELLTALE)
    world.execute(f"INSERT INTO {world.name}.t (id, n) VALUES (-1, {_TELLTALE})")
    assert world.process.wait() == 6, world.process.said
    assert "undecodable" in world.process.said
    assert "checksum" in world.process.said
    assert -1 not in world.published()
    world.process = Cdc(world.settings, world.process.log)
    world.load.finish()
    until(world.running(lambda: len(world.published()) == len(world.committed())), "all events")
    assert sorted(world.published()) == world.committed()
    assert world.process.stop() == 0


def frozen(world: World, listen: str, during_s: float) -> None:
    """SIGSTOP for longer than the server waits for a client that takes nothing, and much to take."""
    mysql, process = world.mysql, world.process.process
    await_ready(world, listen)
    world.execute(f"CREATE TABLE {world.name}.big (id INT PRIMARY KEY, b LONGBLOB)")
    with world.load:
        world.flows()
        sessions = health_probe.details(listen)["sessions"]  # more than one, if a server was slow at the start
        for fate in ("kept", "killed"):
            process.send_signal(signal.SIGSTOP)
            try:
                with mysql.connect() as connection:
                    many = f"INSERT INTO {world.name}.big SELECT %s + seq.n, REPEAT(%s, 1 << 20) FROM seq"
                    _sequence(connection, world.name, 16 if fate == "kept" else 2)
                    execute(connection, f"USE {world.name}")
                    with connection.cursor() as cursor:
                        cursor.execute(many, (0 if fate == "kept" else 100, "x"))
                assert health_probe.get(listen, "/readyz", timeout_s=1)[0] == 0  # whoever asks gets no answer
                if fate == "killed":
                    world.kill_dumps()
                else:
                    time.sleep(during_s)  # it is what the server's patience is about
            finally:
                process.send_signal(signal.SIGCONT)
            sessions += fate == "killed"
            until(world.running(lambda: health_probe.details(listen).get("sessions") == sessions), f"{fate}: sessions")  # noqa: B023
            world.flows()
            await_ready(world, listen)
        world.verify()


def _sequence(connection: Any, db: str, count: int) -> None:
    rows = ",".join(f"({n})" for n in range(count))
    execute(
        connection,
        f"CREATE TEMPORARY TABLE {db}.seq (n INT PRIMARY KEY)",
        f"INSERT INTO {db}.seq VALUES {rows}",
    )


@on_native
def test_cdc_is_frozen(make_outage: Callable[..., World], listen: str, engine: str) -> None:
    # A transaction that was open meanwhile is finished, not begun again.
    world = make_outage(service={"cdc_listen": listen}, cdc={"engine": engine}, kafka={"transaction_timeout_s": 60})
    frozen(world, listen, during_s=3)  # the server's net_write_timeout is 2 s


@pytest.mark.soak
def test_cdc_is_frozen_for_90_s(make_outage: Callable[..., World], listen: str, engine: str) -> None:
    world = make_outage(service={"cdc_listen": listen}, cdc={"engine": engine})
    frozen(world, listen, during_s=90)
