"""What is behind something that was set aside is set aside as well."""

from __future__ import annotations

import threading

from fake_elastic import FakeCluster
from runner import until
from sink.share import share_of
from sink.sidings import Sidings
from sink_kit import BASE, item_of, part_of, tools_of


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
