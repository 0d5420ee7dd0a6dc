"""The audit of a topic that Kafka has compacted: holes in the offsets, deletes of which the tombstone alone is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auditing import World, found, ids
from ops.settings import Settings
from runner import until
from schemas.report import AuditStatus
from servers import Elastic
from stack.kafka import KafkaServer
from topic import read_topics

pytestmark = [pytest.mark.stack, pytest.mark.soak]

EAGER = {"cleanup.policy": "compact", "segment.ms": "50", "min.cleanable.dirty.ratio": "0.001"}


@pytest.fixture
def world(
    make_settings: Callable[..., Settings], elastic: Elastic, unique: str, tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:  # fmt: skip
    """On a Kafka of its own that compacts at once."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    server = KafkaServer(tmp_path_factory.mktemp("eager"), properties={"log.cleaner.backoff.ms": "50"})
    server.start()
    settings = make_settings(
        f"co{unique[-6:]}", kafka={"bootstrap_servers": f"127.0.0.1:{server.port}"},
        audit={"max_requests_per_s": 1000, "wait_s": 5, "leaf_keys": 8},
    )  # fmt: skip
    client = elastic.client()
    made = World(settings, client, partitions=2, topic_config=EAGER)
    try:
        yield made
    finally:
        made.close()
        client.close()
        server.stop()


def compacted(world: World) -> bool:
    """True once of every key the last record alone is left; others grow, since only closed segments are compacted."""
    world.put("grows 1", "grows 2", "grows 3", "grows 4", text=f"{time.monotonic()}")
    world.sync()
    records = read_topics(world.settings.kafka.bootstrap_servers, [world.topic])
    keys = [str(record.key) for record in records if "grows" not in str(record.key)]
    return len(keys) == len(set(keys)) and all(r.value is None for r in records if r.key["id"] in ("10", "11", "12"))


def test_what_is_left_is_enough(world: World) -> None:
    world.put(*ids(50))
    world.put(*ids(30), text="again")
    world.sync()
    left_over = world.document("11")["_source"]
    world.drop("10", "11", "12")
    world.sync()
    until(lambda: compacted(world), "the topic is compacted", 60)
    assert world.audit(deep=True).status is AuditStatus.CLEAN
    world.overwrite("11", left_over)
    world.remove("5", "40")
    world.overwrite("6", next(row for row in world.rows if row.text == "6").source(world.topic_id))
    expected = {"missing": ["40", "5"], "orphan": ["11"], "stale": ["6"]}
    assert found(world.audit()) == expected
    assert found(world.audit(deep=True)) == expected
