"""A sink that was down while Kafka compacted its topic, on a Kafka of its own that compacts at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from committed import committed_values
from runner import until
from schemas.errors import ExitCode
from servers import Kafka, Servers
from sink_world import World
from stack.kafka import KafkaServer
from topic import Record, read_topics

pytestmark = pytest.mark.stack

EAGER = {"segment.ms": "50", "min.cleanable.dirty.ratio": "0.001"}


@pytest.fixture(scope="module")
def eager_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    server = KafkaServer(tmp_path_factory.mktemp("eager"), properties={"log.cleaner.backoff.ms": "50"})
    try:
        server.start()
        yield Kafka(bootstrap_servers=f"127.0.0.1:{server.port}")
    finally:
        server.stop()


@pytest.fixture
def compacted(servers: Servers, eager_kafka: Kafka, tmp_path: Path, unique: str) -> Iterator[World]:
    found = World(replace(servers, kafka=eager_kafka), tmp_path, unique)
    found.source.partitions = 1
    yield found
    found.close()


def seen_and_stopped(world: World, **config: str) -> None:
    world.source.table(**EAGER, **config)
    world.put(*({"id": n, "note": "x"} for n in range(5)))
    sink = world.sink()
    world.await_equal()
    assert sink.stop("sink") == 0
    world.pipeline = None


def of_key(world: World, key: int) -> list[Record]:
    """What is left of a key; another one grows, since only closed segments are compacted."""
    world.put({"id": 99, "note": f"{time.monotonic()}"})
    records = read_topics(world.servers.kafka.bootstrap_servers, [world.alias()])
    return [record for record in records if record.key == {"id": key}]


def test_a_lone_tombstone_deletes(compacted: World) -> None:
    seen_and_stopped(compacted)
    compacted.delete({"id": 1})
    until(lambda: [record.value for record in of_key(compacted, 1)] == [None], "only the tombstone is left")
    compacted.sink()
    compacted.await_equal()
    assert "1" not in compacted.documents()


def test_a_delete_that_is_gone_altogether_stops_the_sink(compacted: World) -> None:
    """Every record that is there is young: what tells is when the sink had read everything for the last time."""
    seen_and_stopped(compacted, **{"delete.retention.ms": "6000"})
    compacted.delete({"id": 1})
    until(lambda: not of_key(compacted, 1), "the tombstone is gone")
    oldest_ms = until(lambda: youngest_unread(compacted), "a young record comes next")
    sink = compacted.sink(ready=False)
    assert compacted.ended(sink) == ExitCode.POSITION_LOST, oldest_ms
    assert "deletes older than 6 s may be gone" in sink.log("sink")
    assert "tidemark sink rebuild shop.orders" in sink.log("sink")


def youngest_unread(world: World) -> Any:
    world.put({"id": 99, "note": f"{time.monotonic()}"})
    events = committed_values(world.servers.kafka.bootstrap_servers, world.alias(), since=world.committed()[0])
    unread = [event["source"]["ts_ms"] for event in events]
    return unread and min(unread) > time.time() * 1000 - 4000 and min(unread)
