"""An alias that was turned away: what may have gone elsewhere is not committed."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from schemas.errors import IndexForeignError, IndexMissingError, TidemarkError, UnreachableError
from schemas.shape import PLAIN
from sink.commit import Committed, Sound, decode
from sink.consumer import Group
from sink.lease import Lease
from sink.offsets import Mark
from sink.part import Part
from sink.trouble import Fault, Troubles
from sink_kit import part_of


class Client:
    """Remembers what was committed: number -> offset."""

    def __init__(self) -> None:
        self.committed: dict[int, int] = {}
        self.metadata: dict[int, str] = {}

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        self.committed = {place.partition: place.offset for place in offsets}
        self.metadata = {place.partition: place.metadata or "" for place in offsets}


def group_of(*parts: Part) -> tuple[Any, Client]:
    group, client = object.__new__(Group), Client()
    group.parts = {(part.topic, part.number): part for part in parts}
    group._back, group._asked, group._next_note = False, None, time.monotonic() + 1000
    group._consumer, group._lease, group._set_aside = client, Lease(60), frozenset  # type: ignore[assignment]
    group._lease.renew(time.monotonic())
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


def test_what_nobody_has_seen_to_be_well_is_noted_with_the_commit() -> None:
    part = part_of(0)
    group, _ = group_of(part)
    settle(part, 4)
    group.settled(part.alias)()
    assert decode(part.metadata(part.offsets.mark), "t").sound is None
    settle(part, 7)
    assert decode(part.metadata(part.offsets.mark), "t").sound == Sound(4, 4, 0)


def test_that_the_alias_was_seen_is_committed_too() -> None:
    part = part_of(0)
    group, client = group_of(part)
    settle(part, 4)
    part.committed = part.offsets.mark
    group.settled(part.alias)()
    group.commit()
    assert decode(client.metadata[0], "t").sound is None
    group._troubles = Troubles()
    group._on_commit(None, [])
    client.metadata = {}
    group.commit()
    assert not client.metadata


def test_what_is_seen_while_a_commit_is_under_way_is_committed_after_it() -> None:
    part = part_of()
    group, client = group_of(part)
    group._troubles = Troubles()
    settle(part, 4)
    part.committed = Mark(0, 0)
    group.commit()
    assert decode(client.metadata[0], "t").sound == Sound(0, 0, 0)
    group.settled(part.alias)()
    group._on_commit(None, [])
    group.commit()
    assert decode(client.metadata[0], "t").sound is None


@pytest.mark.parametrize("lease_left", [True, False])
def test_others_do_not_wait_for_what_cannot_be_sent(lease_left: bool) -> None:
    """A partition leaves whose index takes nothing, or of which nothing may be sent any more."""
    part = part_of()
    part.committed = Mark(0, 0)
    part.offsets.opened([(0, 1)])
    group, client = group_of(part)
    group._verify, group._troubles, group._closing = lambda _topic, _timeout_s: None, Troubles(), False
    if lease_left:
        group._set_aside = lambda: frozenset({part.alias})
    else:
        group._lease = Lease(0.1)
        group._lease.renew(time.monotonic())
    began = time.monotonic()
    group._on_revoke(client, [TopicPartition(part.topic, part.number)])
    assert time.monotonic() - began < 5
    assert not part.owned


def test_what_leaves_is_waited_for_while_it_may_be_sent() -> None:
    part = part_of()
    part.committed = Mark(0, 0)
    part.offsets.opened([(0, 1)])
    group, client = group_of(part)
    group._verify, group._troubles, group._closing = lambda _topic, _timeout_s: None, Troubles(), False
    threading.Timer(0.3, part.offsets.settled, [[0]]).start()
    group._on_revoke(client, [TopicPartition(part.topic, part.number)])
    assert client.committed == {0: 1}


@pytest.mark.parametrize("turned_back", [True, False])
def test_what_went_elsewhere_stays_so_when_the_alias_was_turned_back(turned_back: bool) -> None:
    part = part_of(0)
    part.committed = Mark(0, 0)
    group, client = group_of(part)
    group._verify, group._troubles, group._closing = lambda _topic, _timeout_s: None, Troubles(), False
    settle(part, 7)
    if turned_back:
        group.go_back()
    group._on_revoke(client, [TopicPartition(part.topic, part.number)])
    assert client.committed.get(0, 0) == (0 if turned_back else 7)


@pytest.mark.parametrize(
    ("error", "offset", "sound"),
    [
        (None, 7, None),
        (UnreachableError("away"), 7, Sound(0, 0, 0)),
        (IndexForeignError("elsewhere"), 0, None),
        (IndexMissingError("gone"), 7, Sound(0, 0, 0)),  # a write to what is gone has made no index
    ],
)
def test_the_alias_is_looked_at_before_the_last_commit(
    error: TidemarkError | None, offset: int, sound: Sound | None
) -> None:
    def verify(topic: str, timeout_s: float) -> None:
        assert (topic, timeout_s > 0) == (part.topic, True)
        if error:
            raise error

    part = part_of(0)
    part.committed = Mark(0, 0)
    group, client = group_of(part)
    group._verify, group._fault, group._troubles, group._closing = verify, Fault(), Troubles(), False
    settle(part, 7)
    group._on_revoke(client, [TopicPartition(part.topic, part.number)])
    assert client.committed.get(0, 0) == offset
    assert decode(client.metadata.get(0, part.metadata(Mark(0, 0))), "t").sound == sound


@pytest.mark.parametrize("sound", [None, Sound(4, 40, 400)])
def test_the_next_sink_begins_where_the_alias_was_seen_well(sound: Sound | None) -> None:
    group, _ = group_of()
    target: Any = SimpleNamespace(table="shop.orders", topic="t", topic_id="uuid", alias="t", shape=PLAIN, partitions=0)
    group._targets = lambda: {"t": target}
    noted = Committed("uuid", 70, 1, 700, sound).encode()
    part = group._begin(TopicPartition("t", 0, 7, noted))
    found = (part.offsets.mark, part.floor, part.freshness.read_ms)
    assert found == ((Mark(4, 40), 40, 400) if sound else (Mark(7, 70), 70, 700))
    assert part.committed == Mark(7, 70)
    assert part.is_committed(part.offsets.mark) is (sound is None)
