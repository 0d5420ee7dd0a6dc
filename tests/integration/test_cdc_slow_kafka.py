"""A Kafka that is slow or silent: nothing is lost, nothing comes twice, and nothing grows while cdc waits."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from committed import end_of
from kafka_quota import throttled
from outages import World
from runner import until

pytestmark = pytest.mark.stack
MakeOutage = Callable[..., World]


def of_kernel(world: World, name: str) -> str:
    """What the kernel says of cdc: `State`, `VmHWM` …"""
    text = Path(f"/proc/{world.process.process.pid}/status").read_text(encoding="ascii")
    return re.findall(rf"^{name}:\s+(\S+)", text, re.MULTILINE)[0]


def peak_kb(world: World) -> int:
    return int(of_kernel(world, "VmHWM"))


def test_a_transaction_that_timed_out_while_cdc_stood_still_is_published_again(make_outage: MakeOutage) -> None:
    world = make_outage(kafka={"transaction_timeout_s": 3}, env={"TIDEMARK_CRASH": "mid_transaction:stop@8"})
    world.insert(10_000, 0)
    until(lambda: of_kernel(world, "State") == "T", "the middle of a transaction")
    time.sleep(3)  # the transaction's time, also of what is still in cdc
    ends = partial(end_of, world.brokers, world.topic)
    until(lambda: ends() == ends(committed=False), "the abort of what Kafka has of it")
    world.process.process.send_signal(signal.SIGCONT)
    world.process.await_said("starting over")
    world.insert(10, 0)
    world.verify()


@pytest.mark.soak
def test_transactions_that_do_not_fit_into_their_time_become_smaller(make_outage: MakeOutage) -> None:
    """Ten seconds' quota passes at once, so the transaction is far larger than that."""
    world = make_outage(kafka={"transaction_timeout_s": 2}, cdc={"max_batch_bytes": 4 << 20})
    with throttled(world.kafka.port, f"{world.name}-cdc", 100_000):
        world.insert(3000, 1)
        until(lambda: len(world.published()) == 3000, "everything", 200)
    world.verify()


def dumps(world: World) -> list[int]:
    """The connections that a binlog goes out on."""
    with world.mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'")
        return [number for (number,) in cursor.fetchall()]


@pytest.mark.parametrize("stall_s", [6, pytest.param(90, marks=pytest.mark.soak)])
def test_a_quota_holds_the_reading_back(make_outage: MakeOutage, stall_s: float) -> None:
    """MySQL would drop a reader that takes nothing for two seconds, were it not asked for more patience."""
    world = make_outage(kafka={"transaction_timeout_s": 60}, cdc={"max_batch_bytes": 256 << 10})
    world.insert(1, 0)
    until(lambda: world.published() == [1], "the first row")
    reading = dumps(world)
    assert len(reading) == 1
    before_kb = peak_kb(world)
    with throttled(world.kafka.port, f"{world.name}-cdc", 50_000):
        world.insert(6000, 12)
        time.sleep(stall_s)
        assert len(world.published()) < 4000
        assert dumps(world) == reading
    until(lambda: end_of(world.brokers, world.topic) > 6000, "everything")
    assert dumps(world) == reading
    assert peak_kb(world) < before_kb + 64 * 1024  # the transaction's events have 96 MB
    world.verify()


@pytest.mark.soak
@pytest.mark.parametrize("transaction_timeout_s", [10, 60])
def test_kafka_is_paused_for_longer_than_its_clients_wait(make_outage: MakeOutage, transaction_timeout_s: int) -> None:
    world = make_outage(kafka={"transaction_timeout_s": transaction_timeout_s})
    with world.load:
        world.flows()
        world.kafka.pause()
        try:
            time.sleep(70)  # librdkafka's socket.timeout.ms is 60 s
        finally:
            world.kafka.resume()
        world.load.more(20)
    world.verify()
