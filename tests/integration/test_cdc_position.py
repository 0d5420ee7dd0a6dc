"""The position record, the topics, and what idle tables do to them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from cdc.checks import findings
from cdc.last_seq import highest_seq
from cdc.position_store import Instance, PositionStore, Stored
from cdc.publisher import Publisher
from cdc.reset import reset
from cdc.server import Server, binlog_end
from cdc.start import first_position
from cdc.topics import Topics
from cdc_process import execute
from ops.checks import Severity
from ops.mysql import connect
from ops.stop import Stop
from runner import until
from schemas.errors import ConfigError, TopicMismatchError
from schemas.position import GtidSet, Position
from topic import read_topics
from undecided import undecided

pytestmark = pytest.mark.stack


def test_the_record_and_the_topics(cdc_settings, start, stored, mysql, table, kafka) -> None:
    settings = cdc_settings()
    name, topic = settings.source.name, f"{settings.source.name}.{table}.t"
    running = start(settings)
    until(lambda: stored(settings).position, "the first position")
    with mysql.connect(database=table) as connection, connection.cursor() as cursor:
        execute(connection, "INSERT INTO t VALUES (1, 1), (2, 2)")
        until(lambda: len(read_topics(kafka.bootstrap_servers, [topic])) == 2, "two rows")
        cursor.execute("SELECT @@server_uuid")
        uuid = cursor.fetchone()[0]
    assert running.stop() == 0, running.said
    position = stored(settings).position
    assert position.server_uuid == uuid
    assert uuid in position.gtid_set
    assert position.file.startswith("bin.")
    assert position.partitions == {topic: 3}
    assert highest_seq(settings, Topics(settings.kafka, name).of_source(), own={topic}) == position.seq
    configs = config_of(kafka.bootstrap_servers, [topic, f"{name}.__positions", f"{name}.__deadletter"])
    assert (
        configs[topic]
        | {
            "cleanup.policy": "compact",
            "min.compaction.lag.ms": "86400000",
            "delete.retention.ms": "604800000",
            "max.message.bytes": str((8 << 20) + 65536),
        }
        == configs[topic]
    )
    assert configs[f"{name}.__positions"]["cleanup.policy"] == "compact"
    assert configs[f"{name}.__deadletter"]["max.message.bytes"] == str(2 * ((8 << 20) + 65536))


def config_of(servers: str, topics: list[str]) -> dict[str, dict[str, str]]:
    client = AdminClient({"bootstrap.servers": servers})
    futures = client.describe_configs([ConfigResource(ResourceType.TOPIC, topic) for topic in topics])
    return {r.name: {key: entry.value for key, entry in future.result(60).items()} for r, future in futures.items()}


def alter(client: AdminClient, topic: str, values: dict[str, str]) -> None:
    entries = [ConfigEntry(*item, incremental_operation=AlterConfigOpType.SET) for item in values.items()]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    for future in client.incremental_alter_configs([resource]).values():
        future.result(60)


def test_idle_tables_move_the_position(cdc_settings, start, stored, mysql, table, unique) -> None:
    settings = cdc_settings()
    running = start(settings)
    first = until(lambda: stored(settings).position, "the first position")
    elsewhere = f"e{unique[-12:]}"
    with mysql.connect() as connection:
        execute(connection, f"CREATE DATABASE {elsewhere}", f"CREATE TABLE {elsewhere}.x (id INT PRIMARY KEY)")
        try:
            execute(connection, f"INSERT INTO {elsewhere}.x VALUES (1)")
            until(lambda: stored(settings).position.gtid_set != first.gtid_set, "a moved position")
        finally:
            execute(connection, f"DROP DATABASE {elsewhere}")
    assert stored(settings).position.seq == first.seq
    assert running.stop() == 0, running.said


def test_another_partition_count_stops(cdc_settings, start, stored, kafka, table) -> None:
    settings = cdc_settings()
    running = start(settings)
    until(lambda: stored(settings).position, "the first position")
    assert running.stop() == 0
    client = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    topic = f"{settings.source.name}.{table}.t"
    for future in client.create_partitions([NewPartitions(topic, 5)]).values():
        future.result(60)
    again = start(settings)
    assert again.wait() == 6, again.said
    assert "topic-mismatch" in again.said
    assert "5 partitions" in again.said
    alter(
        client, f"{settings.source.name}.__positions", {"cleanup.policy": "compact,delete", "retention.ms": "604800000"}
    )
    until(lambda: [f.severity for f in findings(settings) if f.check == "topic"] == [Severity.FAIL], "the new policy")
    forgetful = start(settings)
    assert forgetful.wait() == 6, forgetful.said
    assert "--add-config cleanup.policy=compact" in forgetful.said


def test_a_deleted_topic_stops(cdc_settings, start, stored, kafka, table) -> None:
    settings = cdc_settings()
    running = start(settings)
    until(lambda: stored(settings).position, "the first position")
    assert running.stop() == 0
    client = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    topic = f"{settings.source.name}.{table}.t"
    for future in client.delete_topics([topic]).values():
        future.result(60)
    until(lambda: topic not in Topics(settings.kafka, settings.source.name).of_source(), "the topic's end")
    again = start(settings)
    assert again.wait() == 6, again.said
    assert "is gone" in again.said
    with pytest.raises(TopicMismatchError):
        Topics(settings.kafka, settings.source.name).ensure({topic: 3}, pinned={topic: 3})


def test_a_topic_deleted_under_a_running_cdc_stops_it(cdc_settings, start, stored, mysql, kafka, table) -> None:
    settings = cdc_settings(kafka={"transaction_timeout_s": 10})
    running = start(settings)
    topic = f"{settings.source.name}.{table}.t"
    until(lambda: stored(settings).position, "the first position")
    with mysql.connect(database=table) as connection:
        execute(connection, "INSERT INTO t VALUES (1, 1)")
        until(lambda: len(read_topics(kafka.bootstrap_servers, [topic])) == 1, "the row")
        client = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
        for future in client.delete_topics([topic]).values():
            future.result(60)
        until(lambda: topic not in Topics(settings.kafka, settings.source.name).of_source(), "the topic's end")
        execute(connection, "INSERT INTO t VALUES (2, 2)")
    assert running.wait(60) == 6, running.said
    assert "topic-mismatch" in running.said
    assert "is gone" in running.said


def test_positions_deleted_under_a_running_cdc(cdc_settings, start, stored, mysql, kafka, table) -> None:
    settings = cdc_settings(kafka={"transaction_timeout_s": 10})
    running = start(settings)
    until(lambda: stored(settings).position, "the first position")
    client, positions = (
        AdminClient({"bootstrap.servers": kafka.bootstrap_servers}),
        f"{settings.source.name}.__positions",
    )
    for future in client.delete_topics([positions]).values():
        future.result(60)
    with mysql.connect(database=table) as connection:
        execute(connection, "INSERT INTO t VALUES (1, 1)")
    assert running.wait(60) == 5, running.said
    assert "position-lost" in running.said


def test_a_lost_position_needs_a_decision_and_seq_grows_over_it(
    cdc_settings, start, stored, mysql, table, kafka
) -> None:
    """Somebody deletes the position record: the new epoch begins above everything in the topics."""
    settings = cdc_settings()
    name, topic = settings.source.name, f"{settings.source.name}.{table}.t"
    running = start(settings)
    until(lambda: stored(settings).position, "the first position")
    with mysql.connect(database=table) as connection:
        execute(connection, "INSERT INTO t VALUES (1, 1)")
    until(lambda: len(read_topics(kafka.bootstrap_servers, [topic])) == 1, "the row")
    assert running.stop() == 0
    before = stored(settings).position.seq
    forget(kafka.bootstrap_servers, f"{name}.__positions")
    assert stored(settings).position is None
    again = start(settings)
    assert again.wait() == 5, again.said
    assert "position-lost" in again.said
    assert "tidemark cdc position reset --to" in again.said
    assert stored(settings).position is None
    assert reset(settings, "latest").position.seq >> 39 > before >> 39
    with mysql.connect(database=table) as connection:
        execute(connection, "INSERT INTO t VALUES (2, 2)")
    last = start(settings)
    until(lambda: len(read_topics(kafka.bootstrap_servers, [topic])) == 2, "the second row")
    assert last.stop() == 0, last.said


def test_a_reset_tells_what_it_stored(cdc_settings, stored, monkeypatch, kafka) -> None:
    """Kafka answers a commit before it can be read: what is read at once is the position that was there before."""
    settings = cdc_settings()
    old, topic = reset(settings, "latest").position, f"{settings.source.name}.__positions"
    ends: list[Callable[[], None]] = []
    asked: list[str] = []
    with ExitStack() as stack:

        def held_back(*args: Any, **kwargs: Any) -> Position:
            asked.append("a place")
            if len(asked) == 2:  # the first time is before anybody is fenced
                ends.append(stack.enter_context(undecided(kafka.bootstrap_servers, topic, 1)))
            return first_position(*args, **kwargs)

        def read(store: PositionStore, **kwargs: Any) -> Stored:
            found = whole(store, **kwargs)
            for end in ends:
                end()
            return found

        whole = PositionStore.read
        monkeypatch.setattr("cdc.reset.first_position", held_back)
        monkeypatch.setattr(PositionStore, "read", read)
        new = reset(settings, "latest")
    assert new.position is not None
    assert new.position.seq > old.seq
    assert stored(settings) == new


def test_a_reset_that_a_running_cdc_fences_before_it_is_claimed_is_done_all_the_same(
    cdc_settings, stored, monkeypatch
) -> None:
    settings = cdc_settings()
    claim, fenced = Publisher.claim, []

    def claimed(publisher: Publisher) -> None:
        if not fenced:
            fenced.append(settings)
            instance = Instance(id="running", label="running")
            with Publisher(settings, PositionStore(settings, instance), instance, Stop()) as running:
                running.open()
        claim(publisher)

    monkeypatch.setattr(Publisher, "claim", claimed)
    assert reset(settings, "latest") == stored(settings)
    assert fenced


def test_lost_layouts_stop(cdc_settings, start, stored, mysql, table, kafka) -> None:
    settings = cdc_settings()
    topic = f"{settings.source.name}.{table}.t"
    running = start(settings)
    until(lambda: stored(settings).position, "the first position")
    with mysql.connect(database=table) as connection:
        execute(connection, "INSERT INTO t VALUES (1, 1)")
    until(lambda: len(read_topics(kafka.bootstrap_servers, [topic])) == 1, "the row")
    assert running.stop() == 0
    client, schema = AdminClient({"bootstrap.servers": kafka.bootstrap_servers}), f"{settings.source.name}.__schema"
    for future in client.delete_topics([schema]).values():
        future.result(60)
    until(lambda: schema not in client.list_topics(timeout=60).topics, "the topic's end")
    again = start(settings)
    assert again.wait() == 5, again.said
    assert f"has no layouts for the events in {topic}" in again.said


def test_foreign_topics_that_are_named_like_ours(cdc_settings, start, stored, kafka, table) -> None:
    settings = cdc_settings()
    put_foreign(kafka.bootstrap_servers, f"{settings.source.name}.something")
    running = start(settings)
    until(lambda: stored(settings).position, "the first position")
    assert running.stop() == 0
    assert "foreign_topic" in running.said
    assert reset(settings, "latest").position is not None
    other = cdc_settings(f"{settings.source.name}_x")
    put_foreign(kafka.bootstrap_servers, f"{other.source.name}.{table}.t")
    refused = start(other)
    assert refused.wait() == 6, refused.said
    assert "not a change event" in refused.said


def put_foreign(servers: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": servers})
    for future in admin.create_topics([NewTopic(topic, 1)]).values():
        future.result(60)
    client = Producer({"bootstrap.servers": servers})
    client.produce(topic, key=b"k", value=b"not ours")
    assert client.flush(10) == 0


def forget(servers: str, topic: str) -> None:
    client = Producer({"bootstrap.servers": servers})
    client.produce(topic, key=orjson.dumps("position"), value=None, partition=0)
    assert client.flush(10) == 0


def test_a_start_inside_of_a_transaction_is_refused(cdc_settings, mysql, table) -> None:
    settings = cdc_settings()
    with connect(settings.source) as connection, connection.cursor() as cursor:
        before = binlog_end(connection, Server.ask(connection))
        inserts = [f"INSERT INTO {table}.t VALUES ({number}, 0)" for number in range(3)]
        execute(connection, "BEGIN", *inserts, "COMMIT")
        cursor.execute(f"SHOW BINLOG EVENTS IN '{before.file}' FROM {before.pos}")
        events = cursor.fetchall()
        maps = [number for number, event in enumerate(events) if event[2] == "Table_map" and f"{table}.t" in event[5]]
        begin = max(number for number, event in enumerate(events[: maps[0]]) if event[2] == "Gtid")
        end = next(event for event in events[maps[0] :] if event[2] == "Xid")
        gtid = events[begin][5].split("'")[1]

        def at(pos: int) -> GtidSet:
            place = f"file:{before.file}:{pos}"
            return GtidSet(first_position(connection, Server.ask(connection), place, highest_seq=0).gtid_set)

        assert gtid not in at(events[begin][1])
        assert gtid in at(end[4])
        for inside in (events[begin][4], events[maps[1]][1], events[maps[1]][1] + 3, end[1]):
            with pytest.raises(ConfigError, match="inside of a transaction"):
                at(inside)
