"""MySQL and Kafka killed, paused and restarted under load: every row stands once in the topic, in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from cdc_process import Cdc
from engines import on_native
from outages import World

pytestmark = pytest.mark.stack


@pytest.fixture
def world(make_outage: Callable[..., World]) -> Iterator[World]:
    made = make_outage()
    with made.load:
        yield made


def test_kafka_is_killed(world: World) -> None:
    world.flows()
    world.kafka.kill()
    world.load.more(20)
    world.kafka.start()
    world.load.more(20)
    world.verify()


def test_kafka_is_paused_for_longer_than_a_transaction_may_take(world: World) -> None:
    world.flows()
    world.kafka.pause()
    try:
        time.sleep(8)  # the transaction's time is what passes, and more
    finally:
        world.kafka.resume()
    world.load.more(20)
    world.verify()


def test_mysql_is_killed(world: World) -> None:
    world.flows()
    world.mysql.kill()
    world.mysql.start()
    world.load.more(20)
    world.verify()


def test_mysql_is_paused(world: World) -> None:
    world.flows()
    world.mysql.pause()
    try:
        world.process.await_said("lost")
    finally:
        world.mysql.resume()
    world.load.more(20)
    world.verify()


@on_native
def test_the_dump_is_killed_again_and_again(make_outage: Callable[..., World], engine: str) -> None:
    world = make_outage(cdc={"engine": engine, "heartbeat_s": 10}, kafka={"transaction_timeout_s": 60})
    with world.load:
        for _ in range(4):
            world.flows()  # progress between two of them
            began = time.monotonic()
            world.kill_dumps()
            time.sleep(max(0.0, began + 1 - time.monotonic()))  # the fault is one a second
        world.verify()
    assert world.process.said.count("interrupted, starting over") >= 4, world.process.said


def test_it_ends_in_time_while_kafka_is_silent(world: World) -> None:
    world.flows()
    world.kafka.pause()
    try:
        world.load.more(50)
        began = time.monotonic()
        assert world.process.stop() == 0, world.process.said
        assert time.monotonic() - began < 30
    finally:
        world.kafka.resume()
    world.process = Cdc(world.settings, world.process.log)
    world.verify()
