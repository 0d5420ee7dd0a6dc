"""What the sink does not go on from: each with its exit code, and nothing written."""

from __future__ import annotations

import signal
import time

import pytest
from confluent_kafka import Producer, TopicPartition

from events import STEP
from noted_offsets import alter_offsets, let_pass
from runner import Pipeline, until
from schemas.errors import ExitCode
from sink_world import World, reason, status
from stack.ports import free_port

pytestmark = pytest.mark.stack


def refused(world: World, code: ExitCode, *texts: str, pipeline: Pipeline | None = None) -> None:
    """The sink ends with this exit code, and says these things."""
    sink = pipeline or world.sink(ready=False)
    assert world.ended(sink) == code
    for text in texts:
        assert text in sink.log("sink").replace("\n", " ")


def run_once(world: World, **config: str) -> None:
    world.source.table(**config)
    world.put(*({"id": n, "note": "x"} for n in range(30)))
    sink = world.sink()
    world.await_equal()
    assert sink.stop("sink") == 0
    world.pipeline = None


def test_an_index_of_that_name_is_there(world: World) -> None:
    world.source.table()
    world.put({"id": 1, "note": "x"})
    world.client.indices.create(index=world.alias())
    refused(world, ExitCode.UNSAFE, "index-foreign", "is not this pipeline's index")
    world.client.indices.refresh(index=world.alias())
    assert world.client.count(index=world.alias())["count"] == 0
    world.client.indices.delete(index=world.alias())


def test_an_alias_of_that_name_leads_to_somebody_elses_index(world: World) -> None:
    world.source.table()
    world.put({"id": 1, "note": "x"})
    world.client.indices.create(index=f"{world.name}-theirs", aliases={world.alias(): {}})
    refused(world, ExitCode.UNSAFE, "index-foreign", "was not made by tidemark")
    world.client.indices.delete(index=f"{world.name}-theirs")


def test_another_pipelines_index(world: World) -> None:
    world.source.table()
    meta = {"tidemark": {"format": 1, "source": "other", "table": "shop.orders", "topic": "x", "table_version": 1}}
    world.client.indices.create(index=f"{world.alias()}.000001", aliases={world.alias(): {}}, mappings={"_meta": meta})
    refused(world, ExitCode.UNSAFE, "it belongs to other")


def test_two_tables_with_one_index(world: World) -> None:
    world.source.table()
    world.source.table("shop.other")
    same = {"tables": {name: {"index": f"{world.name}-same"} for name in ("shop.orders", "shop.other")}}
    refused(world, ExitCode.USAGE, "the same index", pipeline=world.sink(ready=False, sink=same))
    world.client.indices.delete(index=f"{world.name}-same.000001", ignore_unavailable=True)


def test_a_name_that_no_index_can_have(world: World) -> None:
    world.source.table()
    bad = {"tables": {"shop.orders": {"index": "Orders"}}}
    refused(world, ExitCode.USAGE, "cannot be the name of an index", pipeline=world.sink(ready=False, sink=bad))
    misspelt = {"tables": {"shop.Orders": {"fields": {"exclude": ["note"]}}}}
    said = "is of no captured table, nothing of it holds; is shop.orders meant?"
    refused(world, ExitCode.USAGE, said, pipeline=world.sink(ready=False, sink=misspelt))


def test_the_index_is_deleted_while_the_sink_runs(world: World) -> None:
    world.source.table()
    sink = world.sink()
    world.put({"id": 1, "note": "x"})
    world.await_equal()
    world.client.indices.delete(index=f"{world.alias()}.000001")
    world.source.publish({"id": 2, "note": "y"})
    refused(world, ExitCode.UNSAFE, "index-missing", pipeline=sink)
    refused(world, ExitCode.UNSAFE, "index-missing", "is gone, though the group")
    assert not world.client.indices.exists(index=world.alias())


def test_the_index_is_closed_while_the_sink_runs(world: World) -> None:
    world.source.table()
    sink = world.sink()
    world.put({"id": 1, "note": "x"})
    world.await_equal()
    world.client.indices.close(index=f"{world.alias()}.000001")
    world.put({"id": 2, "note": "y"})
    refused(world, ExitCode.UNSAFE, "index-missing", "gone or closed (400 index_closed_exception)", pipeline=sink)
    assert "If it was only closed, open it" in sink.log("sink")
    assert "tidemark sink rebuild shop.orders" in sink.log("sink")
    assert world.committed() != world.ends()


@pytest.mark.soak
def test_the_alias_is_turned_away_while_the_sink_runs(world: World) -> None:
    world.source.table()
    sink = world.sink()
    world.put({"id": 1, "note": "x"})
    world.await_equal()
    index = f"{world.alias()}.000001"
    world.client.indices.create(index=f"{world.name}-theirs")
    turn(world, index, f"{world.name}-theirs")
    world.put({"id": 2, "note": "y"})
    ended = sink.running("sink").process.poll
    until(lambda: ended() is not None or world.committed() == world.ends(), "it is committed, or found out before")
    refused(world, ExitCode.UNSAFE, "index-foreign", f"lead to {index} again", pipeline=sink)
    assert world.committed() != world.ends()  # what was written elsewhere is read again
    world.client.indices.delete(index=f"{world.name}-theirs")
    world.client.indices.put_alias(index=index, name=world.alias())
    world.sink()
    world.await_equal()


def test_the_sink_ends_before_it_sees_that_the_alias_was_turned_away(world: World) -> None:
    """However it ends, what it wrote elsewhere is read again when the alias is turned back."""
    world.source.table()
    index, theirs = f"{world.alias()}.000001", f"{world.name}-theirs"
    world.client.indices.create(index=theirs)
    for number, last in enumerate((signal.SIGKILL, signal.SIGTERM), start=1):
        sink = world.sink()
        world.put({"id": -number, "note": "x"})
        world.await_equal()
        turn(world, index, theirs)
        world.put({"id": number, "note": "y"})
        # It looks every ten seconds: on a slow machine it has found out before it has committed, and ends so.
        process = sink.running("sink").process
        until(lambda: process.poll() is not None or world.committed() == world.ends(), "it is committed, or found out")  # noqa: B023
        assert not world.client.exists(index=index, id=str(number))
        process.send_signal(last)
        world.ended(sink)
        turn(world, theirs, index)
    world.sink()
    world.await_equal()
    world.client.indices.delete(index=theirs)


def turn(world: World, away_from: str, to: str) -> None:
    """Let the alias lead elsewhere."""
    actions = [{"remove": {"index": away_from, "alias": world.alias()}}, {"add": {"index": to, "alias": world.alias()}}]
    world.client.indices.update_aliases(actions=actions)


def test_the_group_was_deleted(world: World) -> None:
    run_once(world)
    group = f"{world.name}-sink"
    world.source.admin.delete_consumer_groups([group])[group].result(60)
    refused(world, ExitCode.POSITION_LOST, "offsets-lost", "yet the index holds documents")


def test_the_topic_was_deleted_and_made_again(world: World) -> None:
    run_once(world)
    # A group that is idle keeps its offsets only by luck: Kafka drops those of a topic that goes.
    commits = world.commits()
    delete_topic(world, world.alias())
    world.source.make_topic(world.alias(), world.source.partitions)
    world.put(*({"id": n, "note": "again"} for n in range(100, 200)))
    alter_offsets(world, {number: (part.offset, part.metadata) for number, part in commits.items()})
    refused(world, ExitCode.POSITION_LOST, "a topic of this name that was deleted")


def test_the_topic_is_deleted_and_made_again_while_the_sink_runs(world: World) -> None:
    world.source.table()
    sink = world.sink()
    world.put({"id": 1, "note": "x"})
    world.await_equal()
    delete_topic(world, world.alias())
    world.source.make_topic(world.alias(), world.source.partitions)
    refused(world, ExitCode.POSITION_LOST, "offsets-lost", pipeline=sink)


# librdkafka asks for a topic that it has lost for so long before it says so: 20 s.
@pytest.mark.soak
def test_the_topic_is_deleted_while_the_sink_runs(world: World) -> None:
    world.source.table()
    sink = world.sink()
    world.put({"id": 1, "note": "x"})
    world.await_equal()
    delete_topic(world, world.alias())
    refused(world, ExitCode.POSITION_LOST, "the topic was deleted", "on purpose, start the sink again", pipeline=sink)
    world.sink()


def test_the_records_at_the_offset_are_gone(world: World) -> None:
    run_once(world, **{"cleanup.policy": "delete"})  # Kafka removes no records by hand from a compacted topic
    world.put(*({"id": n, "note": "more"} for n in range(100, 130)))
    doomed = [TopicPartition(world.alias(), number, end) for number, end in world.ends().items()]
    for future in world.source.admin.delete_records(doomed).values():
        future.result(60)
    refused(world, ExitCode.POSITION_LOST, "the records at the committed offset are gone")


def test_unread_records_are_removed_while_it_runs(world: World) -> None:
    world.source.table(**{"cleanup.policy": "delete"})
    sink = world.sink()
    world.put({"id": 1, "note": "x"})
    world.await_equal()
    process = sink.running("sink").process

    def removed() -> bool:
        """False if they were the answer to what it had asked for before it was stopped."""
        process.send_signal(signal.SIGSTOP)
        time.sleep(1)  # such a request is answered with nothing after 0.1 s
        world.put(*({"id": n, "note": "unread"} for n in range(100, 130)))
        doomed = [TopicPartition(world.alias(), number, end) for number, end in world.ends().items()]
        for future in world.source.admin.delete_records(doomed).values():
            future.result(60)
        process.send_signal(signal.SIGCONT)
        until(lambda: process.poll() is not None or world.committed() == world.ends(), "it sees that, or has them")
        return process.poll() is not None

    until(removed, "records that nobody has read")
    refused(world, ExitCode.POSITION_LOST, "the records at the committed offset are gone", pipeline=sink)


def test_a_record_past_the_offset_is_older_than_the_one_below(world: World) -> None:
    run_once(world)
    world.source.transact(lambda: [world.source.put({"id": n, "note": "?"}, seq=STEP) for n in range(20)])
    refused(world, ExitCode.POSITION_LOST, "is older (seq 1024) than the one below it")


def test_offsets_moved_back_by_hand(world: World) -> None:
    """Kafka's own tool leaves nothing beside the offset; one that keeps what was there makes it wrong."""
    run_once(world)
    commits = world.commits()
    alter_offsets(world, dict.fromkeys(range(3), (0, "")))
    refused(world, ExitCode.POSITION_LOST, "was not written by a sink", "tidemark sink rewind")
    alter_offsets(world, {number: (0, part.metadata) for number, part in commits.items()})
    refused(world, ExitCode.POSITION_LOST, "than the one below it")


def test_offsets_of_somebody_else(world: World) -> None:
    world.source.table()
    world.put(*({"id": n, "note": "x"} for n in range(30)))
    alter_offsets(world, dict.fromkeys(range(3), (1, "mine")))
    refused(world, ExitCode.POSITION_LOST, "was not written by a sink")


def test_the_next_unread_record_is_older_than_deletes_are_kept(world: World) -> None:
    world.source.age_s = 7200
    run_once(world, **{"delete.retention.ms": "3600000"})  # from the very start, old records are no danger
    let_pass(world, 7300)
    world.put(*({"id": n, "note": "y"} for n in range(30)))
    refused(world, ExitCode.POSITION_LOST, "deletes older than 3600 s may be gone")


def test_a_foreign_record(world: World) -> None:
    world.source.table()
    world.source.transact(lambda: world.source.produce(world.alias(), 0, b'{"id":1}', b'{"hello":1}'))
    refused(world, ExitCode.UNSAFE, "not a change event", "at offset 0")


def test_a_record_that_is_a_bomb(world: World) -> None:
    """12 KB in the topic, 120 MB when it is decompressed."""
    world.source.table()
    largest = 200_000_000
    bomber = Producer(
        {
            "bootstrap.servers": world.servers.kafka.bootstrap_servers,
            "compression.type": "zstd",
            "message.max.bytes": largest,
            "queue.buffering.max.kbytes": largest // 1000,
        }
    )
    bomber.produce(world.alias(), bytes(120_000_000), key=b'{"id":1}', partition=0)
    assert bomber.flush(60) == 0
    refused(world, ExitCode.UNSAFE, "format", "a record that cannot be decompressed")


def test_elasticsearch_cannot_be_reached_at_start(world: World) -> None:
    world.source.table()
    sink = world.sink(
        ready=False, elasticsearch={"urls": [f"http://127.0.0.1:{free_port()}"]}, service={"start_timeout_s": 3}
    )
    refused(world, ExitCode.UNREACHABLE, "Elasticsearch does not answer", pipeline=sink)


STATES = ["no topics", "idle", "no elasticsearch", "no kafka", "blocked", "unknown version", "before a barrier"]


@pytest.mark.parametrize(("state", "number"), [*((state, signal.SIGTERM) for state in STATES), ("idle", signal.SIGINT)])
def test_asked_to_stop(world: World, state: str, number: signal.Signals) -> None:
    sink = in_state(world, state)
    began = time.monotonic()
    sink.running("sink").process.send_signal(number)
    assert world.ended(sink) == 0
    assert time.monotonic() - began < 30
    if state == "idle":
        assert world.committed() == world.ends()


def in_state(world: World, state: str) -> Pipeline:
    if state == "no topics":
        return world.sink()
    world.source.table()
    world.put({"id": 1, "note": "x"})
    if state in ("no elasticsearch", "no kafka"):
        nobody = f"127.0.0.1:{free_port()}"
        sections = (
            {"elasticsearch": {"urls": [f"http://{nobody}"]}}
            if state == "no elasticsearch"
            else {"kafka": {"bootstrap_servers": nobody}}
        )
        sink = world.sink(ready=False, **sections)
        until(lambda: status(sink), "it has begun")
        time.sleep(1)
        return sink
    sink = world.sink()
    world.await_equal()
    if state in ("blocked", "before a barrier"):
        world.client.indices.add_block(index=f"{world.alias()}.000001", block="write")
        if state == "blocked":
            world.source.publish({"id": 2, "note": "y"})
        else:
            world.source.transact(world.source.barrier)
        until(lambda: reason(sink), "it waits")
    if state == "unknown version":
        world.source.table(version=2, announce=False)
        world.source.publish({"id": 2, "note": "y"})
        until(lambda: "version 2" in reason(sink), "it waits")
    return sink


def delete_topic(world: World, name: str) -> None:
    world.source.admin.delete_topics([name])[name].result(60)
    until(lambda: name not in world.source.admin.list_topics(timeout=60).topics, "the topic is gone")
