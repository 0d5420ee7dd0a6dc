"""An alias that was turned away: what may have gone elsewhere is not committed."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from confluent_kafka import TopicPartition

from sink.consumer import Group
from sink.offsets import Mark
from sink.part import Part
from sink_kit import part_of


class Client:
    """Remembers what was committed: number -> offset."""

    def __init__(self) -> None:
        self.committed: dict[int, int] = {}

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        self.committed = {place.partition: place.offset for place in offsets}


def group_of(*parts: Part) -> tuple[Any, Client]:
    group, client = object.__new__(Group), Client()
    group.parts = {(part.topic, part.number): part for part in parts}
    group._back, group._asked, group._next_note = False, None, time.monotonic() + 1000
    group._consumer, group._lease = client, SimpleNamespace(ageing=False)  # type: ignore[assignment]
    return group, client


def settle(part: Part, upto: int) -> None:
    records = [(offset, offset + 1) for offset in range(part.offsets.mark.offset, upto)]
    part.offsets.opened(records)
    part.offsets.settled([offset for offset, _ in records])


def test_offsets_go_back_to_where_the_alias_was_seen_well() -> None:
    part, other = part_of(0), part_of(1, topic="other")
    part.committed, other.committed = Mark(10, 10), Mark(10, 10)
    group, client = group_of(part, other)
    settle(part, 4)
    is_sound = group.settled(part.alias)
    settle(part, 7)  # after the look: nobody knows where it went
    part.freshness.caught_up(5000)
    is_sound()
    settle(part, 10)
    settle(other, 10)
    group.go_back()
    group.commit()
    assert client.committed == {0: 4, 1: 0}
    assert part.freshness.read_ms == 0


def test_only_what_goes_to_the_alias_was_looked_at() -> None:
    part, other = part_of(0), part_of(1, topic="other")
    group, _ = group_of(part, other)
    settle(part, 4)
    settle(other, 4)
    group.settled(part.alias)()
    assert (part.sound[1].offset, other.sound[1].offset) == (4, 0)
