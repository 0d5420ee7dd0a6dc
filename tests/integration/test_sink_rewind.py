"""`tidemark sink rewind`, on the real servers."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

from noted_offsets import let_pass
from runner import Pipeline, until
from schemas.errors import LockedError, OffsetsLostError, UsageError
from sink_cli import sink_command, sink_json
from sink_world import World

pytestmark = pytest.mark.stack


def once(world: World) -> Pipeline:
    """A sink reads all there is, one record at a time, and stops."""
    sink = world.sink(sink={"max_batch_events": 1})
    world.await_equal()
    assert sink.stop("sink") == 0
    world.pipeline = None
    return sink


def forget_deletes(world: World) -> None:
    """As an index does that comes up again; the next sink sees to it that it does not go on so."""
    index = f"{world.alias()}.000001"
    world.client.indices.put_settings(index=index, settings={"index.gc_deletes": "1ms"})
    world.client.options(ignore_status=404).delete(index=index, id="probe", version=6, version_type="external")
    until(lambda: taken(world, index), "it has forgotten")
    world.client.delete(index=index, id="probe", refresh=True)


def taken(world: World, index: str) -> bool:
    """True if a document older than its delete is taken."""
    world.client.indices.refresh(index=index)
    answer = world.client.options(ignore_status=409).index(
        index=index, id="probe", version=5, version_type="external", document={}
    )
    return answer.meta.status == 201


def test_back_to_an_offset_and_to_a_time(world: World) -> None:
    world.source.table()
    world.put(*({"id": n, "note": "x"} for n in range(30)))
    world.delete(*({"id": n} for n in range(10)))
    sink = once(world)
    ends, middle = world.ends(), datetime.now(UTC).isoformat()
    world.put(*({"id": n, "note": "y"} for n in range(5, 35)))
    running = world.sink()
    world.await_equal()
    with pytest.raises(LockedError, match="has members"):
        sink_command(sink, "rewind", "--to-offset", "0")
    assert running.stop("sink") == 0
    world.pipeline = None
    before, documents = world.commits(), world.documents()

    planned = sink_json(sink, "rewind", "--to-timestamp", middle)
    assert not planned["applied"]
    assert {row["partition"]: row["to"] for row in planned["partitions"]} == ends
    assert {number: part.offset for number, part in before.items()} == world.committed()

    (one,) = sink_json(sink, "rewind", "shop.orders", "--partition", "1", "--to-offset", "3", "--apply")["partitions"]
    assert (one["partition"], one["from"], one["to"], one["state"]) == (1, before[1].offset, 3, "rewound")
    moved = world.commits()
    assert moved[0].metadata == before[0].metadata
    old, new = orjson.loads(before[1].metadata), orjson.loads(moved[1].metadata)
    assert new["topic_id"] == old["topic_id"]
    assert 0 < int(new["seq"]) == int(one["seq"]) < int(old["seq"])

    there = sink_json(sink, "rewind", "--to-timestamp", middle, "--apply")
    by_time = {row["partition"]: row for row in there["partitions"]}
    assert by_time[1]["state"] == "unchanged"  # it is there already, and is never moved on
    assert by_time[0]["state"] == by_time[2]["state"] == "rewound"
    once(world)
    here = world.committed()
    assert "3 partitions would go back" in sink_command(sink, "rewind", "--to-offset", "0")[1]
    assert world.committed() == here
    code, out = sink_command(sink, "rewind", "--to-offset", "0", "--apply")
    assert code == 0
    assert "3 partitions go back" in out
    assert "Nothing to go back" in sink_command(sink, "rewind", "--to-offset", "0")[1]
    forget_deletes(world)
    once(world)  # with checks of seq, topic and age that stop it where they find anything
    assert world.documents() == documents


def test_where_no_sink_has_ever_been(world: World, unique: str) -> None:
    world.source.table()
    sink = world.sink(ready=False, sink={"group": f"{unique}-none"}, elasticsearch={"urls": ["http://127.0.0.1:1"]})
    assert "no sink has committed" in sink_command(sink, "rewind", "--to-offset", "0")[1]
    with pytest.raises(UsageError, match="has no partition 3"):
        sink_command(sink, "rewind", "shop.orders", "--partition", "3", "--to-offset", "0")


def test_what_was_lost_before_stays_lost(world: World) -> None:
    """A sink may begin with records that are older than deletes are kept, if all of them were read before."""
    world.source.table(**{"delete.retention.ms": "3600000"})
    world.source.age_s = 7200
    world.put(*({"id": n, "note": "x"} for n in range(30)))
    sink = once(world)
    let_pass(world, 7300)
    sink_command(sink, "rewind", "--to-offset", "0", "--apply")
    once(world)
    world.put(*({"id": n, "note": "y"} for n in range(30)))
    let_pass(world, 7300)
    with pytest.raises(OffsetsLostError, match="deletes older than 3600 s may be gone"):
        sink_command(sink, "rewind", "--to-offset", "0")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "either --to-offset or --to-timestamp"),
        (["--to-offset", "1", "--to-timestamp", "1h"], "either --to-offset or --to-timestamp"),
        (["--to-timestamp", "yesterday"], "is no time"),
        (["shop.nothing", "--to-offset", "1"], "is no captured table"),
        (["--partition", "1", "--to-offset", "1"], "is for one table"),
    ],
)
def test_what_makes_no_sense(world: World, arguments: list[str], said: str) -> None:
    sink = world.sink(ready=False)
    with pytest.raises(UsageError, match=said):
        sink_command(sink, "rewind", *arguments)
