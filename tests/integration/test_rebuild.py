"""An index built anew beside the one that is searched: what takes over, what does not, what is left."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from events import ORDERS
from ops.settings import Settings
from rebuilding import Rebuilding, Rebuilt, rebuilt
from runner import Pipeline, until
from schemas.errors import ExitCode
from schemas.names import next_alias
from schemas.table import Column, ColumnType
from sink.succession import Succession
from sink_world import World, ready, reason
from tidemark.rebuild.group import Groups

pytestmark = pytest.mark.stack

NUMBERS = (ORDERS[0], Column(name="note", type=ColumnType.INT))


def filled(world: World) -> Pipeline:
    """A table with some history, indexed: updates, deletes, a barrier, lone tombstones, and an aborted transaction."""
    world.source.table()
    world.put(*({"id": n, "note": "swept"} for n in range(500, 600)))
    world.source.transact(world.source.barrier)
    world.rows.clear()
    sink = world.sink()
    world.put(*({"id": n, "note": f"n{n}"} for n in range(300)))
    world.delete(*({"id": n} for n in range(0, 300, 7)))
    world.delete({"id": 1}, event=False)
    world.source.transact(lambda: [world.source.put({"id": n, "note": "never"}) for n in range(9)], abort=True)
    world.await_equal()
    return sink


@pytest.fixture
def running(world: World) -> Iterator[Callable[..., Rebuilding]]:
    """Starts a rebuild that is ended with the test, whatever it does."""
    made: list[Rebuilding] = []

    def start(sink: Pipeline, *flags: str, crash: str = "") -> Rebuilding:
        made.append(Rebuilding(sink.config, "shop.orders", *flags, crash=crash))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.process.wait(10)


def took_over(world: World, done: Rebuilt, *, old: int, new: int) -> None:
    alias = world.alias()
    assert (done.code, done.result.get("swapped")) == (0, True), done.said
    assert (done.result["index"], done.result["old"]) == (f"{alias}.{new:06d}", f"{alias}.{old:06d}")
    assert world.behind_alias() == [f"{alias}.{new:06d}"]
    assert not world.client.indices.exists_alias(name=next_alias(alias))
    found = world.client.indices.get(index=f"{alias}.{new:06d}")[f"{alias}.{new:06d}"]
    assert found["settings"]["index"]["refresh_interval"] == "1s"
    assert found["settings"]["index"].get("hidden", "false") == "false"
    assert "rebuild" not in found["mappings"]["_meta"]["tidemark"]


def test_it_takes_over_and_the_sink_goes_on(world: World) -> None:
    sink = filled(world)
    done = rebuilt(sink.config, "shop.orders")
    took_over(world, done, old=1, new=2)
    assert done.result["audit"]["tables"][0]["keys"] == len(world.rows["shop.orders"])
    assert not done.result["offsets_set"]
    world.put({"id": 3, "note": "after"}, {"id": 1000, "note": "new"})
    world.delete({"id": 4})
    world.await_equal()
    until(lambda: ready(sink), "ready again")
    # The old index is kept as it was, where wildcards do not find it.
    assert world.indices() == [f"{world.alias()}.000001", f"{world.alias()}.000002"]
    assert list(world.client.indices.get(index=f"{world.alias()}.*")) == [f"{world.alias()}.000002"]
    assert sink.stop("sink") == 0


def test_a_table_that_its_mapping_stopped_comes_back(world: World) -> None:
    sink = filled(world)
    world.source.table("shop.other")
    world.source.table(columns=NUMBERS, version=2)
    world.rows["shop.orders"] = {}
    world.source.transact(world.source.barrier)
    world.put(*({"id": n, "note": n} for n in range(50)))
    until(lambda: "note: has text, needs long" in reason(sink), "the table is stopped")
    assert "tidemark sink rebuild shop.orders" in sink.log("sink")
    done = rebuilt(sink.config, "shop.orders", "--drop-old")
    took_over(world, done, old=1, new=2)
    assert done.result["old_dropped"]
    assert world.indices() == [f"{world.alias()}.000002"]
    world.put({"id": 7, "note": 77})
    world.await_equal()
    until(lambda: ready(sink), "the sink is content")
    properties = world.client.indices.get_mapping(index=world.alias())[f"{world.alias()}.000002"]["mappings"]
    assert properties["properties"]["note"]["type"] == "long"
    assert sink.stop("sink") == 0


def test_one_that_the_audit_does_not_like_is_not_swapped_in(world: World, running: Callable[..., Rebuilding]) -> None:
    sink = filled(world)
    one = running(sink, crash="rebuild_filled:stop")
    one.await_stopped()
    second = rebuilt(sink.config, "shop.orders")
    assert (second.code, second.result) == (ExitCode.USAGE, {})
    assert "another rebuild of shop.orders is running on this machine" in second.said
    new = f"{world.alias()}.000002"
    world.client.delete(index=new, id="3")
    world.client.index(index=new, id="strange", document={"note": "strange"})
    one.process.send_signal(signal.SIGCONT)
    done = one.end()
    assert (done.code, done.result["swapped"]) == (ExitCode.FINDINGS, False), done.said
    assert "the new index is not as the topic says: 1 missing, 1 foreign" in done.said.replace("\n", " ")
    assert done.result["audit"]["tables"][0]["counts"] == {"missing": 1, "foreign": 1}
    assert world.behind_alias() == [f"{world.alias()}.000001"]
    world.put({"id": 3, "note": "goes on"})
    world.await_equal()
    took_over(world, rebuilt(sink.config, "shop.orders", "--restart"), old=1, new=2)
    world.await_equal()
    assert sink.stop("sink") == 0


def test_a_sink_that_lost_its_offsets_goes_on_behind_a_new_index(world: World) -> None:
    sink = filled(world)
    assert sink.stop("sink") == 0
    group = f"{world.name}-sink"
    world.source.admin.delete_consumer_groups([group])[group].result(60)
    sink.start("sink", ready=False)
    assert world.ended(sink) == ExitCode.POSITION_LOST
    world.client.indices.delete(index=f"{world.alias()}.000001")
    world.put({"id": 3, "note": "meanwhile"})
    done = rebuilt(sink.config, "shop.orders")
    assert (done.code, done.result["offsets_set"], done.result["old"]) == (0, True, None), done.said
    assert world.behind_alias() == [f"{world.alias()}.000002"]  # a sink that starts meanwhile makes the first itself
    assert world.shown() == world.rows["shop.orders"]
    again = world.sink()
    world.put({"id": 8, "note": "after"})
    world.await_equal()
    assert again.stop("sink") == 0


def test_interrupted_held_and_given_up(world: World, running: Callable[..., Rebuilding]) -> None:
    sink = filled(world)
    one = running(sink, crash="rebuild_filled:stop")
    one.await_stopped()
    one.process.send_signal(signal.SIGINT)
    one.process.send_signal(signal.SIGCONT)
    done = one.end()
    assert done.code == ExitCode.INTERRUPTED, done.said
    assert "goes on from here" in done.said
    assert rebuilt(sink.config, "shop.orders", crash="rebuild_held:kill9").code == -signal.SIGKILL
    world.put({"id": 3, "note": "held"})
    until(lambda: "cluster_block_exception" in reason(sink), "the sink is held")
    assert rebuilt(sink.config, "shop.orders", crash="rebuild_filled:kill9").code == -signal.SIGKILL
    world.await_equal()  # the next one lets the sink write before it does anything else, whatever becomes of it
    done = rebuilt(sink.config, "shop.orders", "--abort")
    assert done.code == 0, done.said
    world.await_equal()
    assert world.indices() == [f"{world.alias()}.000001"]
    assert sink.stop("sink") == 0


def test_a_barrier_that_needed_no_write_in_the_old_index(world: World, running: Callable[..., Rebuilding]) -> None:
    sink = filled(world)
    # Nothing is left there that it could remove, so that the sink is past it though writes are held.
    gone = [{"delete": {"_id": name}} for name in world.rows["shop.orders"]]
    assert not world.client.bulk(index=world.alias(), operations=gone, refresh=True)["errors"]
    one = running(sink, crash="rebuild_level:stop")
    one.await_stopped()
    world.source.transact(world.source.barrier)
    world.await_committed()
    assert "cluster_block_exception" not in reason(sink)
    one.process.send_signal(signal.SIGCONT)
    took_over(world, one.end(), old=1, new=2)
    assert world.shown() == {}
    assert sink.stop("sink") == 0


def test_names_that_are_none(world: World) -> None:
    world.source.table()
    sink = world.sink()
    done = rebuilt(sink.config, "shop.nothing")
    assert done.code == ExitCode.USAGE
    assert "Captured: shop.orders" in done.said
    nothing: Any = None
    # a held index that was lost meanwhile keeps no rebuild from going on
    Succession(world.client, nothing, nothing, "here").unblock(f"{world.alias()}.000009")


def test_a_group_with_members_knows_its_own_offsets(world: World, make_settings: Callable[..., Settings]) -> None:
    sink = filled(world)
    groups = Groups(make_settings(world.name), world.alias(), range(world.source.partitions))
    group = f"{world.name}-sink"
    assert len(groups.members(group)) == 1
    assert groups.hand_over(group, f"{group}-copy")
    assert not groups.hand_over(f"{group}-copy", group)
    assert sink.stop("sink") == 0
    assert groups.hand_over(f"{group}-copy", group)
    assert groups.members(f"{group}-copy") == groups.members(f"{group}-none") == []
    groups.delete(f"{group}-copy")
    groups.delete(f"{group}-copy")
    assert not groups.hand_over(f"{group}-copy", group)
