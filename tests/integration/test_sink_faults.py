"""kill -9, frozen processes, blocked indices: nothing lost, nothing brought back."""

from __future__ import annotations

import random
import signal
import time

import pytest

from runner import until
from sink_world import World, details, outcomes, ready, reason

pytestmark = pytest.mark.stack

SEED = 20261121


def test_killed_at_every_crash_point(world: World) -> None:
    """One after the other; each begins with what the one before has left."""
    world.source.table()
    dice = random.Random(SEED)
    for point in ("after_bulk", "before_commit", "after_commit"):
        world.churn(dice, 300)
        dying = world.sink(ready=False, env={"TIDEMARK_CRASH": f"{point}:kill9@2"}, sink={"max_batch_events": 50})
        world.churn(dice, 300)
        assert world.ended(dying) == -signal.SIGKILL, point
    world.churn(dice, 100)
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
        world.churn(dice, dice.randint(100, 600))
        time.sleep(dice.random() * 2)
        sink.kill("sink")
        world.churn(dice, 50)
    world.sink()
    world.await_equal()


def test_a_frozen_sink_does_no_harm_when_it_comes_back(world: World) -> None:
    world.source.table()
    dice = random.Random(SEED)
    world.churn(dice, 200)
    frozen = world.sink(sink={"max_batch_events": 10})
    world.churn(dice, 500)
    frozen.running("sink").process.send_signal(signal.SIGSTOP)
    world.sink()
    world.churn(dice, 300)
    world.await_equal()
    frozen.running("sink").process.send_signal(signal.SIGCONT)
    world.churn(dice, 200)
    world.await_equal()
    assert frozen.stop("sink") == 0
    world.await_equal()


# A disk at its flood stage sets the second one, and says it with another status.
BLOCKS = {"write": "403 cluster_block_exception", "read_only_allow_delete": "429 cluster_block_exception"}


@pytest.mark.parametrize("block", BLOCKS)
def test_a_blocked_index_is_waited_for_and_holds_no_other_table(world: World, block: str) -> None:
    world.source.table()
    world.source.table("shop.other")
    sink = world.sink()
    world.put(*({"id": n, "note": "x"} for n in range(20)))
    world.await_equal()
    index = f"{world.alias()}.000001"
    world.client.indices.put_settings(index=index, settings={f"index.blocks.{block}": True})
    world.put(*({"id": n, "note": "y"} for n in range(40)))  # every lane has something of both
    world.put(*({"id": n, "note": "flows"} for n in range(40)), table="shop.other")
    world.delete({"id": 1})
    until(lambda: BLOCKS[block] in reason(sink), "the block is told")
    assert not ready(sink)
    world.await_equal("shop.other")
    assert world.committed() != world.ends()
    until(lambda: details(sink)["set_aside"] == [world.alias()], "it is set aside")
    world.put({"id": 2, "note": "z"})
    world.client.indices.put_settings(index=index, settings={f"index.blocks.{block}": None})
    world.await_equal()
    until(lambda: ready(sink), "ready again")
    assert sink.log("sink").count("recovered after") >= 1
    until(lambda: not details(sink)["set_aside"], "nothing is set aside")
    assert not outcomes(sink)["poison"]


def test_memory_is_bounded_while_elasticsearch_does_not_take_anything(world: World) -> None:
    world.source.table()
    world.be_patient()
    sink = world.sink(sink={"queue_bytes": "1MiB"})
    world.put({"id": -1, "note": "x"})
    world.await_equal()
    index = f"{world.alias()}.000001"
    world.client.indices.add_block(index=index, block="write")
    for start in range(0, 3000, 1000):
        world.put(*({"id": n, "note": "x" * 2000} for n in range(start, start + 1000)))
        # What is there can be read at once, so that more comes only then.
        until(lambda: details(sink)["full"] or details(sink)["set_aside"], "it has enough")
    until(lambda: details(sink)["set_aside"], "nothing more is read")
    members = world.members()
    time.sleep(2)  # nothing more comes, though the lanes have nothing to do
    found = details(sink)
    assert 0 < found["open"] < 2500
    assert found["partitions"] == 3
    world.client.indices.put_settings(index=index, settings={"index.blocks.write": False})
    world.await_equal()
    assert world.members() == members
    assert sink.log("sink").count("partitions assigned") == 1
    assert "partitions left" not in sink.log("sink")
