"""What is set aside, and what is not: behind something that was set aside is set aside as well."""

from __future__ import annotations

import threading

import pytest

from fake_elastic import FakeCluster
from ops.settings import SinkSettings
from runner import until
from sink import settle as settle_module
from sink.lanes import Lanes
from sink.share import share_of
from sink.sidings import Sidings
from sink_kit import BASE, item_of, part_of, put, tools_of


def test_later_changes_of_an_index_that_is_set_aside_wait_behind_the_earlier_ones() -> None:
    cluster, closing, held = FakeCluster(), threading.Event(), threading.Event()
    cluster.request_rule = lambda _body: (held.wait(30), None)[1]
    blocked, other = part_of(topic="blocked"), part_of(topic="other")
    sidings = Sidings(tools_of(cluster.bulk()), closing, threading.Event())
    sidings.put("blocked", [share_of([item_of(blocked, 0, "k", BASE)])], 1 << 20)
    later, theirs = share_of([item_of(blocked, 1, "k", BASE + 1024)]), share_of([item_of(other, 0, "x", BASE)])
    assert sidings.divert([later, theirs]) == [theirs]
    assert blocked.offsets.mark.offset == 0
    held.set()
    until(lambda: not sidings.aliases, "nothing waits there any more")
    assert blocked.offsets.mark.offset == 2
    assert sidings.divert([later]) == [later]
    closing.set()


def busy(cluster: FakeCluster, *keys: str) -> threading.Event:
    """A cluster that refuses these keys with 429 until the event is set."""
    free = threading.Event()
    cluster.item_rule = lambda _op, target: (
        (429, "es_rejected_execution_exception") if target["_id"] in keys and not free.is_set() else None
    )
    return free


def test_a_full_queue_sets_no_table_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """All tables may be met by it as well, and a lane more would only add to the load."""
    monkeypatch.setattr(settle_module, "_PATIENCE_S", 0)
    cluster, part = FakeCluster(), part_of()
    free = busy(cluster, "k3")
    tools = tools_of(cluster.bulk(), settings=SinkSettings(lanes=1, linger_s=0.1))
    lanes = Lanes(tools)
    for number in range(6):
        put(lanes, item_of(part, number, f"k{number}", BASE + number))
    lanes.start()
    until(lambda: len(cluster.requests) >= 4, "it is tried again")
    assert not lanes.set_aside
    free.set()
    until(lambda: part.offsets.open == 0, "all of it is there")
    lanes.close(5)


def test_an_index_that_is_busy_for_long_without_any_progress_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """One shard's queue, or a document that no node has the memory for: others wait no longer. It begins as small."""
    monkeypatch.setattr(settle_module, "_BUSY_PATIENCE_S", 0.5)
    cluster, part, other = FakeCluster(), part_of(0, topic="busy"), part_of(0, topic="other")
    free = busy(cluster, *(f"k{number}" for number in range(200)))
    tools = tools_of(cluster.bulk(), settings=SinkSettings(lanes=1, linger_s=0.1))
    lanes = Lanes(tools)
    for number in range(200):
        put(lanes, item_of(part, number, f"k{number}", BASE + number, note="x" * 1000))
    lanes.start()
    put(lanes, item_of(other, 0, "o", BASE))
    until(lambda: lanes.set_aside == {"busy"}, "it is set aside")
    until(lambda: other.offsets.open == 0, "the other table goes on")
    (siding,) = lanes._sidings.lanes
    assert siding._bound.bytes <= 1 << 19
    free.set()
    until(lambda: part.offsets.open == 0, "all of it is there")
    lanes.close(5)
