"""kill -9, rebalances, frozen processes, blocked indices: nothing lost, nothing brought back."""

from __future__ import annotations

import random
import signal
import time
from typing import Any

import pytest

from runner import until
from sink_world import World, ready, reason, status

pytestmark = pytest.mark.stack

SEED = 20261121


def churn(world: World, dice: random.Random, changes: int, keys: int = 60) -> None:
    """Upserts and deletes of a small hot set of keys, a few in each transaction."""
    rows = world.rows.setdefault("shop.orders", {})
    done = 0
    while done < changes:
        size = dice.randint(1, 20)

        def some(size: int = size, done: int = done) -> None:
            for number in range(size):
                row: dict[str, Any] = {"id": dice.randrange(keys), "note": f"{done + number}"}
                if dice.random() < 0.3:
                    world.source.delete({"id": row["id"]})
                    rows.pop(str(row["id"]), None)
                else:
                    world.source.put(row)
                    rows[str(row["id"])] = row

        world.source.transact(some)
        done += size


@pytest.mark.parametrize("point", ["after_bulk:kill9@2", "before_commit:kill9@2", "after_commit:kill9@2"])
def test_killed_at_a_crash_point(world: World, point: str) -> None:
    world.source.table()
    dice = random.Random(SEED)
    churn(world, dice, 300)
    dying = world.sink(ready=False, env={"TIDEMARK_CRASH": point}, sink={"max_batch_events": 50})
    churn(world, dice, 300)
    assert world.ended(dying) == -signal.SIGKILL
    churn(world, dice, 100)
    world.sink()
    world.await_equal()


def test_killed_before_its_first_commit(world: World) -> None:
    """The index is empty and so is the group: it begins again, and does not take its own documents for others'."""
    world.source.table()
    world.put(*({"id": n, "note": "x"} for n in range(50)))
    world.ended(world.sink(ready=False, env={"TIDEMARK_CRASH": "after_bulk:kill9@1"}))
    assert world.documents()
    world.sink()
    world.await_equal()


@pytest.mark.soak
def test_killed_at_random_moments(world: World) -> None:
    world.source.table()
    dice = random.Random(SEED)
    for _ in range(4):
        sink = world.sink(sink={"max_batch_events": 20})
        churn(world, dice, dice.randint(100, 600))
        time.sleep(dice.random() * 2)
        sink.kill("sink")
        churn(world, dice, 50)
    world.sink()
    world.await_equal()


def test_a_frozen_sink_does_no_harm_when_it_comes_back(world: World) -> None:
    world.source.table()
    dice = random.Random(SEED)
    churn(world, dice, 200)
    frozen = world.sink(sink={"max_batch_events": 10})
    churn(world, dice, 500)
    frozen.running("sink").process.send_signal(signal.SIGSTOP)
    world.sink()
    churn(world, dice, 300)
    world.await_equal()
    frozen.running("sink").process.send_signal(signal.SIGCONT)
    churn(world, dice, 200)
    world.await_equal()
    assert frozen.stop("sink") == 0
    world.await_equal()


def test_two_sinks_share_the_partitions_and_hand_them_over(world: World) -> None:
    world.source.table()
    dice = random.Random(SEED)
    one = world.sink()
    churn(world, dice, 200)
    two = world.sink()
    until(lambda: status(two)["details"]["partitions"] > 0, "the second has some")
    until(lambda: status(one)["details"]["partitions"] < 3, "the first has given some")
    churn(world, dice, 400)
    world.await_equal()
    assert two.stop("sink") == 0
    churn(world, dice, 100)
    world.pipeline = one
    world.await_equal()
    assert one.stop("sink") == 0


@pytest.mark.soak
@pytest.mark.parametrize("count", [2, 4])
def test_several_sinks_come_and_go_under_load(world: World, count: int) -> None:
    world.source.partitions = 6
    world.source.table()
    dice = random.Random(SEED)
    sinks = []
    for _ in range(count):
        sinks.append(world.sink())
        churn(world, dice, 500)
        until(lambda: sum(status(sink)["details"]["partitions"] for sink in sinks) == 6, "all have settled down")
        assert all(status(sink)["details"]["partitions"] == 6 // len(sinks) for sink in sinks if 6 % len(sinks) == 0)
    world.await_equal()
    world.pipeline = sinks[-1]
    for number, sink in enumerate(sinks[:-1]):
        churn(world, dice, 300)
        if number % 2:
            sink.kill("sink")
        else:
            assert sink.stop("sink") == 0
    churn(world, dice, 300)
    world.await_equal()
    assert sinks[-1].stop("sink") == 0


def test_killed_while_partitions_leave(world: World) -> None:
    world.source.table()
    dice = random.Random(SEED)
    one = world.sink(env={"TIDEMARK_CRASH": "in_revoke:kill9@1"})
    churn(world, dice, 300)
    two = world.sink(ready=False)
    assert world.ended(one) == -signal.SIGKILL
    world.pipeline = two
    churn(world, dice, 100)
    world.await_equal()


def test_a_blocked_index_is_waited_for(world: World) -> None:
    world.source.table()
    sink = world.sink()
    world.put({"id": 1, "note": "x"})
    world.await_equal()
    index = f"{world.alias()}.000001"
    world.client.indices.add_block(index=index, block="write")
    world.put({"id": 2, "note": "y"})
    until(lambda: "403 cluster_block_exception" in reason(sink), "the block is told")
    assert not ready(sink)
    world.client.indices.put_settings(index=index, settings={"index.blocks.write": False})
    world.await_equal()
    until(lambda: ready(sink), "ready again")
    assert sink.log("sink").count("recovered after") == 1


def test_memory_is_bounded_while_elasticsearch_does_not_take_anything(world: World) -> None:
    world.source.table()
    sink = world.sink(sink={"queue_bytes": "1MiB"})
    world.put({"id": -1, "note": "x"})
    world.await_equal()
    index = f"{world.alias()}.000001"
    world.client.indices.add_block(index=index, block="write")
    for start in range(0, 3000, 300):
        world.put(*({"id": n, "note": "x" * 2000} for n in range(start, start + 300)))
    until(lambda: status(sink)["details"]["full"], "nothing more is read")
    members = world.members()
    time.sleep(7)  # longer than brokers wait for a silent member
    details = status(sink)["details"]
    assert details["open"] < 2500
    assert details["partitions"] == 3
    world.client.indices.put_settings(index=index, settings={"index.blocks.write": False})
    world.await_equal()
    assert world.members() == members
    assert sink.log("sink").count("partitions assigned") == 1
    assert "partitions left" not in sink.log("sink")


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_both_ways_of_sharing_partitions(world: World, protocol: str) -> None:
    world.source.table()
    dice = random.Random(SEED)
    one = world.sink(sink={"group_protocol": protocol})
    churn(world, dice, 100)
    two = world.sink(sink={"group_protocol": protocol})
    until(lambda: status(two)["details"]["partitions"] > 0, "the second has some", 60)
    assert len(world.members()) == 2
    assert world.group().type.name.lower() == protocol
    churn(world, dice, 200)
    world.await_equal()
    assert two.stop("sink") == 0
    churn(world, dice, 100)
    world.pipeline = one
    world.await_equal()
    assert one.stop("sink") == 0
