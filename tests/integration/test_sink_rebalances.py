"""Sinks that share the partitions of a topic, come and go under load: nothing lost, nothing overwritten by older."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka.cimpl import NewPartitions

from runner import Pipeline, until
from servers import Kafka, Servers
from sink_load import Load
from sink_world import World, details, status
from stack.kafka import KafkaServer

pytestmark = pytest.mark.stack

SEED = 20261121
MEMBERS = 3


def partitions(sink: Pipeline) -> int:
    """How many it has; 0 while it does not answer."""
    return int(details(sink)["partitions"])


def test_two_sinks_share_the_partitions_and_hand_them_over(world: World) -> None:
    world.source.partitions = 6
    world.source.table()
    dice = random.Random(SEED)
    one = world.sink()
    world.churn(dice, 200)
    two = world.sink()
    until(lambda: shared_evenly([one, two], 6), "each has its half")
    world.churn(dice, 400)
    world.await_equal()
    assert two.stop("sink") == 0
    world.churn(dice, 100)
    world.pipeline = one
    world.await_equal()
    assert one.stop("sink") == 0


@pytest.mark.soak
@pytest.mark.parametrize("count", [2, 4])
def test_several_sinks_come_and_go_under_load(world: World, count: int) -> None:
    world.source.partitions = 6
    world.source.table()
    sinks: list[Pipeline] = []
    with Load(world, SEED):
        for _ in range(count):
            sinks.append(world.sink())
            until(lambda: shared_evenly(sinks, 6), "all have settled down", 180)
        moves(world, sinks[:-1], random.Random(SEED), count=2 * count)
        until(lambda: shared_evenly(sinks, 6), "all have settled down again", 180)
    world.await_equal()
    assert [sink.stop("sink") for sink in sinks] == [0] * count


def shared_evenly(sinks: list[Pipeline], count: int) -> bool:
    found = [partitions(sink) for sink in sinks]
    return sum(found) == count and max(found) - min(found) <= 1


def moves(world: World, sinks: list[Pipeline], dice: random.Random, *, count: int, least_s: float = 0.0) -> None:
    """So many times one of them leaves or is killed, and comes again; in between the group gets on."""
    for _ in range(count):
        began, before = time.monotonic(), sum(world.committed().values())
        victim = dice.choice(sinks)
        if dice.random() < 0.5:
            victim.kill("sink")
        else:
            until(lambda victim=victim: status(victim), "it has begun, and hears signals")
            assert victim.stop("sink") == 0
        victim.start("sink", ready=False)
        until(lambda before=before: sum(world.committed().values()) > before, "progress", 180)
        time.sleep(max(0.0, began + least_s - time.monotonic()))  # a storm has its own rhythm


@pytest.mark.parametrize("protocol", ["classic", pytest.param("consumer", marks=pytest.mark.soak)])
@pytest.mark.parametrize(("count", "least_s"), [(2, 0), pytest.param(60, 5, marks=pytest.mark.soak)])
def test_a_storm_of_rebalances(world: World, protocol: str, count: int, least_s: float) -> None:
    world.source.table()
    sinks = [world.sink(ready=False, sink={"group_protocol": protocol}) for _ in range(MEMBERS)]
    until(lambda: all(map(partitions, sinks)), "each has some", 180)
    assert world.group().type.name.lower() == protocol
    with Load(world, SEED):
        moves(world, sinks, random.Random(SEED), count=count, least_s=least_s)
        until(lambda: shared_evenly(sinks, 3), "all have settled down again", 180)
    world.await_equal()
    assert [sink.stop("sink") for sink in sinks] == [0] * MEMBERS


def test_killed_while_partitions_leave(world: World) -> None:
    world.source.table()
    dice = random.Random(SEED)
    one = world.sink(env={"TIDEMARK_CRASH": "in_revoke:kill9@1"})
    world.churn(dice, 300)
    two = world.sink(ready=False)
    assert world.ended(one) == -signal.SIGKILL
    world.pipeline = two
    world.churn(dice, 100)
    world.await_equal()


@pytest.fixture
def patient(servers: Servers, tmp_path: Path) -> Iterator[Servers]:
    """With a broker that waits as long for consumers as brokers do by default."""
    server = KafkaServer(tmp_path / "kafka", properties={"group.consumer.session.timeout.ms": "45000"})
    server.start()
    yield replace(servers, kafka=Kafka(bootstrap_servers=f"127.0.0.1:{server.port}"))
    server.stop()


@pytest.mark.soak
def test_sessions_as_long_as_brokers_have_them(patient: Servers, tmp_path: Path, unique: str) -> None:
    """A sink that was killed keeps its partitions for 45 s; the other one gets on with its own meanwhile."""
    world = World(patient, tmp_path / "world", unique)
    try:
        world.source.partitions = 6
        world.source.table()
        one = world.sink()
        assert "45 s only" in one.log("sink")
        assert one.stop("sink") == 0
        sinks = [world.sink(sink={"group_protocol": "consumer"}) for _ in range(2)]
        with Load(world, SEED):
            until(lambda: shared_evenly(sinks, 6), "each has its half", 60)
            sinks[0].kill("sink")
            killed = time.monotonic()
            until(lambda: partitions(sinks[1]) == 6, "the other one has all", 90)
            assert 25 < time.monotonic() - killed < 70
        world.pipeline = sinks[1]
        world.await_equal()
        assert sinks[1].stop("sink") == 0
    finally:
        world.close()


@pytest.mark.parametrize("protocol", ["consumer", pytest.param("classic", marks=pytest.mark.soak)])
def test_partitions_are_added_under_load(world: World, protocol: str) -> None:
    """A key may go to another partition from then on: the newer version wins, whichever comes first."""
    world.source.table()
    sinks = [world.sink(sink={"group_protocol": protocol}) for _ in range(2)]
    with Load(world, SEED):
        until(lambda: len(world.documents()) > 20, "the first documents")
        asked = world.source.admin.create_partitions([NewPartitions(world.alias(), 6)])
        asked[world.alias()].result(60)
        known = world.source.producer.list_topics
        until(lambda: len(known(world.alias(), timeout=10).topics[world.alias()].partitions) == 6, "six")
        world.source.partitions = 6
        until(lambda: sum(map(partitions, sinks)) == 6, "all six are read", 180)
    world.await_equal()
    assert {document["_cdc"]["partition"] for document in world.documents().values()} >= {3, 4, 5}
    assert [sink.stop("sink") for sink in sinks] == [0, 0]
