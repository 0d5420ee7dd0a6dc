"""Kafka answers a commit before its events can be read: an audit that knows of the commit waits for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from auditing import Row, World
from auditor.markers import decided
from auditor.mysql_passage import Passage
from auditor.mysql_server import Mark
from auditor.run_context import Context
from auditor.sink_side import Settled
from auditor.topic import Topic
from schemas.errors import LaggingError
from undecided import undecided

pytestmark = pytest.mark.stack


class PassedCdc:
    """Its position is past every mark."""

    def wait(self, mark: Mark) -> None:
        pass


class NotedSink:
    """Has settled nothing, and notes what it is waited for."""

    def __init__(self) -> None:
        self.last_open: Mapping[int, int] = {}

    def committed(self) -> dict[int, int]:
        return {}

    def wait(self, last_open: Mapping[int, int], ends: Mapping[int, int]) -> Settled:
        self.last_open = last_open
        return Settled(offsets=ends, seen=True)


def committed(world: World, key: str) -> Row:
    """As `put` does, but waits for nobody to see it."""
    row = world._row("c", key, {"text": "v"})
    world._producer.begin_transaction()
    world.produce(world._records(row, 0, None, lone=False))
    world._producer.commit_transaction(60)
    return row


def test_the_passage_waits_for_events_that_cannot_be_read_yet(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, sink = make_world(audit={"wait_s": 60}), NotedSink()
    context, ends = Context(settings=world.settings), Topic.ends
    with undecided(world.settings.kafka.bootstrap_servers, world.topic, world.partitions) as end:
        row = committed(world, "1")

        def looked(topic: Topic, partitions: Iterable[int]) -> dict[int, int]:
            try:
                return ends(topic, partitions)
            finally:
                end()

        monkeypatch.setattr(Topic, "ends", looked)
        with Topic(context, world.topic) as topic:
            parts: Any = (PassedCdc(), topic, sink)
            Passage(context, *parts).wait(Mark(server_uuid="", file="bin.000001", pos=4, gtid_set=""))
    assert sink.last_open == {row.partition: row.offset}


def test_a_transaction_that_does_not_end_is_told(make_world: Callable[..., World]) -> None:
    world = make_world(audit={"wait_s": 0.5})
    context = Context(settings=world.settings)
    with (
        undecided(world.settings.kafka.bootstrap_servers, world.topic, 1),
        Topic(context, world.topic) as topic,
        pytest.raises(LaggingError, match="transaction in partition 0 of"),
    ):
        decided(context, topic)
