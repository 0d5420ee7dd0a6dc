"""Lanes against a scripted cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from elastic_transport import ConnectionError as TransportConnectionError

from fake_elastic import FakeCluster
from ops.settings import SinkSettings
from schemas.errors import IndexMissingError, RefusedError, UnknownOutcomeError, UnreachableError
from sink import settle as settle_module
from sink import sidings
from sink.lanes import Lanes
from sink.lease import Lease
from sink.part import Part
from sink.settle import Tools
from sink.share import lane_of
from sink.trouble import Troubles
from sink_kit import BASE, Letters, item_of, part_of, put, raw_key, settle, settler_of, tools_of


def until(check: Callable[[], object], timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_lane_held_back_keeps_the_commit_back() -> None:
    cluster, part = FakeCluster(), part_of()
    held = threading.Event()
    cluster.item_rule = lambda _op, target: (
        (429, "es_rejected_execution_exception") if target["_id"] == "held" and not held.is_set() else None
    )
    tools = tools_of(cluster.bulk(), settings=SinkSettings(lanes=4, linger_s=0))
    lanes = Lanes(tools)
    lanes.start()
    put(lanes, item_of(part, 0, "first", BASE))
    until(lambda: part.offsets.mark.offset == 1)
    put(lanes, item_of(part, 1, "held", BASE + 1))
    others = [f"k{n}" for n in range(500) if lane_of(raw_key(f"k{n}"), 4) != lane_of(raw_key("held"), 4)]
    for number, key in enumerate(others):
        put(lanes, item_of(part, 2 + number, key, BASE + 2 + number))
    until(lambda: len(cluster.docs) == 1 + len(others))
    assert part.offsets.mark == (1, BASE)
    assert tools.troubles.reason.startswith("elasticsearch, lane")
    held.set()
    until(lambda: part.offsets.open == 0)
    assert part.offsets.mark == (2 + len(others), BASE + 1 + len(others))
    assert "held" in cluster.docs
    assert not tools.troubles.reason
    until(lambda: lanes.queued_bytes == 0)
    lanes.close(60)


def test_a_key_never_goes_back_whatever_is_refused_in_between() -> None:
    cluster, part = FakeCluster(), part_of()
    calls = {"n": 0}

    def rule(_op: str, target: dict[str, object]) -> tuple[int, str] | None:
        calls["n"] += 1
        return (429, "es_rejected_execution_exception") if calls["n"] % 3 == 0 else None

    cluster.item_rule = rule
    lanes = Lanes(tools_of(cluster.bulk(), settings=SinkSettings(lanes=3, linger_s=0, max_batch_events=7)))
    lanes.start()
    for number in range(300):
        put(lanes, item_of(part, number, f"k{number % 20}", BASE + number, delete=number % 11 == 0))
    until(lambda: part.offsets.open == 0)
    lanes.close(60)
    for key in range(20):
        last = max(number for number in range(300) if number % 20 == key)
        assert cluster.versions[f"k{key}"] == BASE + last
        assert (f"k{key}" in cluster.docs) == (last % 11 != 0)


def test_lost_connections_and_cut_answers_are_sent_again() -> None:
    cluster, part = FakeCluster(), part_of()
    failures = [TransportConnectionError("cut"), (503, "master_not_discovered_exception"), (429, "x")]
    cluster.request_rule = lambda _body: failures.pop() if failures else None
    settle(settler_of(tools_of(cluster.bulk())), [item_of(part, 0, "a", BASE)])
    assert cluster.docs["a"][0] == BASE
    assert part.offsets.mark == (1, BASE)


def test_too_large_is_split_down_to_the_one_that_is() -> None:
    cluster, part, letters = FakeCluster(), part_of(), Letters()
    cluster.request_rule = lambda body: (413, "") if len(body) > 3000 else None
    items = [item_of(part, n, f"k{n}", BASE + n, note="x" * (5000 if n == 5 else 300)) for n in range(20)]
    settle(settler_of(tools_of(cluster.bulk(), letters=letters)), items)
    assert len(cluster.docs) == 19
    assert [(letter.key_text, letter.status) for letter in letters.written] == [("k5", 413)]
    assert part.offsets.mark.offset == 20


def poison(cluster: FakeCluster, *seqs: int) -> None:
    cluster.item_rule = lambda _op, target: (400, "document_parsing_exception") if target["version"] in seqs else None


def test_poison_goes_to_the_dead_letters_and_others_go_on() -> None:
    cluster, part, letters = FakeCluster(), part_of(), Letters([UnreachableError("kafka is away")])
    poison(cluster, BASE + 3)
    settle(
        settler_of(tools_of(cluster.bulk(), letters=letters)), [item_of(part, n, f"k{n}", BASE + n) for n in range(6)]
    )
    assert sorted(cluster.docs) == ["k0", "k1", "k2", "k4", "k5"]
    (letter,) = letters.written
    assert (letter.offset, letter.seq, letter.status, letter.type) == (3, BASE + 3, 400, "document_parsing_exception")
    assert letter.value
    assert "quotes" in letter.reason
    assert part.offsets.mark == (6, BASE + 5)


def test_when_the_last_of_a_run_is_poison_the_one_before_is_indexed() -> None:
    cluster, part, letters = FakeCluster(), part_of(), Letters()
    poison(cluster, BASE + 3, BASE + 2)
    settle(settler_of(tools_of(cluster.bulk(), letters=letters)), [item_of(part, n, "k", BASE + n) for n in range(4)])
    assert cluster.docs["k"][0] == BASE + 1
    # The newest is written last: in a compacted topic the last letter of a key stands.
    assert [letter.seq for letter in letters.written] == [BASE + 2, BASE + 3]
    assert part.offsets.mark == (4, BASE + 3)


def test_poison_all_the_way() -> None:
    cluster, part, letters = FakeCluster(), part_of(), Letters()
    poison(cluster, BASE, BASE + 1)
    settle(settler_of(tools_of(cluster.bulk(), letters=letters)), [item_of(part, n, "k", BASE + n) for n in range(2)])
    assert not cluster.docs
    assert len(letters.written) == 2
    assert part.offsets.mark.offset == 2


def test_a_good_version_heals_a_key() -> None:
    cluster, part, letters = FakeCluster(), part_of(), Letters()
    poison(cluster, BASE)
    settler = settler_of(tools_of(cluster.bulk(), letters=letters))
    settle(settler, [item_of(part, 0, "k", BASE)])
    settle(settler, [item_of(part, 1, "k", BASE + 1)])
    assert cluster.docs["k"][0] == BASE + 1


def test_nothing_is_dead_lettered_when_the_alias_was_turned_away() -> None:
    cluster, part, letters = FakeCluster(), part_of(), Letters()
    cluster.item_rule = lambda _op, _target: (400, "illegal_argument_exception")

    def verify(alias: str) -> None:
        raise IndexMissingError("the alias leads elsewhere", where=alias)

    with pytest.raises(IndexMissingError):
        settle(settler_of(tools_of(cluster.bulk(), letters=letters, verify=verify)), [item_of(part, 0, "k", BASE)])
    assert not letters.written
    assert part.offsets.mark.offset == 0


def test_no_letter_is_written_of_a_partition_that_left_before_the_answer() -> None:
    cluster, gone, ours, letters = FakeCluster(), part_of(0), part_of(1), Letters()
    poison(cluster, BASE, BASE + 1)
    cluster.request_rule = lambda _body: setattr(gone, "owned", False)
    settle(
        settler_of(tools_of(cluster.bulk(), letters=letters)),
        [item_of(gone, 0, "a", BASE), item_of(ours, 0, "b", BASE + 1)],
    )
    assert [letter.key_text for letter in letters.written] == ["b"]
    assert gone.offsets.mark.offset == 0


def test_no_letter_is_written_while_the_group_is_silent() -> None:
    """A sink that was frozen while a request was on its way cannot know whose the partition is by now."""
    cluster, part, letters, lease = FakeCluster(), part_of(), Letters(), Lease(longest_s=60)
    poison(cluster, BASE)
    cluster.request_rule = lambda _body: setattr(lease, "_longest_s", -1)
    tools = tools_of(cluster.bulk(), letters=letters, lease=lease)
    worker = threading.Thread(target=lambda: settle(settler_of(tools), [item_of(part, 0, "a", BASE)]))
    worker.start()
    until(lambda: tools.troubles.reason)
    assert not letters.written
    part.owned = False
    worker.join(120)
    assert not letters.written


@pytest.mark.parametrize("lost", ["partition", "lease"])
def test_a_letter_that_landed_late_is_told(lost: str) -> None:
    cluster, part, lease = FakeCluster(), part_of(), Lease(longest_s=60)
    poison(cluster, BASE)
    named = (part, "owned", False) if lost == "partition" else (lease, "_longest_s", -1)
    letters = Letters(meanwhile=lambda: setattr(*named))
    settle(settler_of(tools_of(cluster.bulk(), letters=letters, lease=lease)), [item_of(part, 0, "a", BASE)])
    assert letters.late == letters.written != []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((401, "security_exception"), RefusedError),
        ((403, "security_exception"), RefusedError),
        ((404, "index_not_found_exception"), IndexMissingError),
        ((400, "index_closed_exception"), IndexMissingError),
        ((418, "teapot_exception"), UnknownOutcomeError),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_what_stops_the_sink_commits_what_was_done_and_no_more(
    answer: tuple[int, str], error: type[Exception], whole: bool
) -> None:
    cluster, part = FakeCluster(), part_of()
    if whole:
        cluster.request_rule = lambda _body: answer
    else:
        cluster.item_rule = lambda _op, target: answer if target["_id"] == "k1" else None

    def verify(alias: str) -> None:
        if answer[0] == 404:
            raise IndexMissingError("it is gone", where=alias)

    with pytest.raises(error):
        settle(
            settler_of(tools_of(cluster.bulk(), verify=verify)), [item_of(part, n, f"k{n}", BASE + n) for n in range(3)]
        )
    assert part.offsets.mark.offset == (0 if whole else 1)


@pytest.mark.parametrize("whole", [True, False])
def test_an_index_that_is_missing_only_while_a_node_comes_up(whole: bool) -> None:
    cluster, part = FakeCluster(), part_of()
    answers = [(404, "index_not_found_exception")] * 2
    if whole:
        cluster.request_rule = lambda _body: answers.pop() if answers else None
    else:
        cluster.item_rule = lambda _op, _target: answers.pop() if answers else None
    settle(settler_of(tools_of(cluster.bulk())), [item_of(part, 0, "k", BASE)])
    assert cluster.docs["k"][0] == BASE


def test_a_lanes_death_is_the_sinks() -> None:
    cluster, part = FakeCluster(), part_of()
    cluster.request_rule = lambda _body: (401, "security_exception")
    tools = tools_of(cluster.bulk())
    lanes = Lanes(tools)
    lanes.start()
    put(lanes, item_of(part, 0, "k", BASE))

    def dead() -> bool:
        try:
            tools.fault.check()
        except RefusedError:
            return True
        return False

    until(dead)
    lanes.close(60)


def test_items_of_a_partition_that_left_are_not_sent() -> None:
    cluster, gone, ours = FakeCluster(), part_of(0), part_of(1)
    gone.owned = False
    settle(settler_of(tools_of(cluster.bulk())), [item_of(gone, 0, "a", BASE), item_of(ours, 0, "b", BASE)])
    assert list(cluster.docs) == ["b"]
    assert gone.offsets.mark.offset == 0


def test_nothing_is_sent_while_the_group_is_silent() -> None:
    cluster, part, lease = FakeCluster(), part_of(), Lease(longest_s=-1)
    settler = settler_of(tools_of(cluster.bulk(), lease=lease))
    worker = threading.Thread(target=lambda: settle(settler, [item_of(part, 0, "a", BASE)]))
    worker.start()
    time.sleep(0.3)
    assert not cluster.requests
    lease._longest_s = 60
    lease.renew(time.monotonic())
    worker.join(120)
    assert list(cluster.docs) == ["a"]


def test_what_went_to_others_while_the_group_was_silent_is_no_trouble() -> None:
    part, troubles = part_of(), Troubles()
    tools = tools_of(FakeCluster().bulk(), lease=Lease(longest_s=-1), troubles=troubles)
    worker = threading.Thread(target=lambda: settle(settler_of(tools), [item_of(part, 0, "a", BASE)]))
    worker.start()
    until(lambda: troubles.reason)
    part.owned = False
    worker.join(120)
    assert troubles.reason == ""


def one_a_request(cluster: FakeCluster, meanwhile: Callable[[Tools], object], *parts: Part) -> None:
    """Settle ten items in ten requests; something happens during the first one."""
    tools = tools_of(cluster.bulk(), settings=SinkSettings(max_batch_bytes=1024))
    items = [item_of(parts[n % len(parts)], n, f"k{n}", BASE + n, note="x" * 1000) for n in range(10)]
    cluster.request_rule = lambda _body: None if cluster.requests else meanwhile(tools)
    settle(settler_of(tools), items)


def test_no_request_follows_when_the_group_falls_silent_in_between() -> None:
    cluster = FakeCluster()

    sent_in_silence: list[int] = []

    def silent(tools: Tools) -> None:
        tools.lease._longest_s = -1
        threading.Timer(0.5, heard, [tools.lease]).start()

    def heard(lease: Lease) -> None:
        sent_in_silence.append(len(cluster.requests))
        lease._longest_s = 60
        lease.renew(time.monotonic())

    one_a_request(cluster, silent, part_of())
    assert sent_in_silence == [1]
    assert len(cluster.requests) == 10


def test_no_request_follows_for_a_partition_that_leaves_in_between() -> None:
    cluster, leaving, staying = FakeCluster(), part_of(0), part_of(1)
    one_a_request(cluster, lambda _tools: setattr(leaving, "owned", False), leaving, staying)
    assert [name for request in cluster.requests for name in request] == ["k0", "k1", "k3", "k5", "k7", "k9"]


def test_closing_ends_a_batch_after_the_request_in_flight() -> None:
    cluster, part = FakeCluster(), part_of()
    closing = threading.Event()
    cluster.request_rule = lambda _body: closing.set()
    tools = tools_of(cluster.bulk(), settings=SinkSettings(max_batch_bytes=1024))
    settle(settler_of(tools, closing), [item_of(part, n, f"k{n}", BASE + n, note="x" * 1000) for n in range(10)])
    assert len(cluster.requests) == 1
    assert part.offsets.mark.offset == 1


def test_closing_ends_a_lane_that_retries_and_settles_nothing() -> None:
    cluster, part = FakeCluster(), part_of()
    cluster.request_rule = lambda _body: (503, "x")
    lanes = Lanes(tools_of(cluster.bulk()))
    lanes.start()
    put(lanes, item_of(part, 0, "k", BASE))
    time.sleep(0.2)
    began = time.monotonic()
    lanes.close(60)
    assert time.monotonic() - began < 30
    assert part.offsets.mark.offset == 0


def test_a_batch_is_bounded_in_items_and_bytes() -> None:
    cluster, part = FakeCluster(), part_of()
    settings = SinkSettings(lanes=1, linger_s=0.2, max_batch_events=10, max_batch_bytes=2000)
    lanes = Lanes(tools_of(cluster.bulk(), settings=settings))
    for number in range(35):
        put(lanes, item_of(part, number, f"k{number}", BASE + number, note="x" * (1 if number < 25 else 900)))
    lanes.start()
    until(lambda: part.offsets.open == 0)
    lanes.close(60)
    assert max(len(request) for request in cluster.requests) <= 10
    assert max(len(body) for body in cluster.bodies) <= 2600


def blocked_and_flowing(cluster: FakeCluster) -> tuple[Part, Part, threading.Event]:
    """A table whose index takes nothing until the event is set, and another."""
    blocked, flowing, free = part_of(0, topic="blocked"), part_of(0, topic="flowing"), threading.Event()
    cluster.item_rule = lambda _op, target: (
        (403, "cluster_block_exception") if target["_index"] == "blocked" and not free.is_set() else None
    )
    return blocked, flowing, free


def test_an_index_that_takes_nothing_holds_no_other_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle_module, "_PATIENCE_S", 0.2)
    cluster = FakeCluster()
    blocked, flowing, free = blocked_and_flowing(cluster)
    tools = tools_of(cluster.bulk(), settings=SinkSettings(lanes=3, linger_s=0, max_batch_events=7))
    lanes = Lanes(tools)
    lanes.start()
    for number in range(300):
        put(lanes, item_of(blocked, number, f"b{number % 20}", BASE + number, delete=number % 11 == 0))
        put(lanes, item_of(flowing, number, f"f{number}", BASE + number))
    until(lambda: flowing.offsets.open == 0)
    assert lanes.set_aside == {"blocked"}
    assert blocked.offsets.mark == (0, 0)
    until(lambda: lanes.lane_bytes == 0)
    assert lanes.queued_bytes > 0
    assert tools.troubles.reason.startswith("elasticsearch, blocked: ")
    assert "lane" not in tools.troubles.reason
    put(lanes, item_of(blocked, 300, "b0", BASE + 300, note="the last"))
    free.set()
    until(lambda: blocked.offsets.open == 0)
    assert blocked.offsets.mark == (301, BASE + 300)
    assert cluster.docs["b0"][0] == BASE + 300
    for key in range(1, 20):
        assert cluster.versions[f"b{key}"] == BASE + max(number for number in range(300) if number % 20 == key)
    until(lambda: not lanes.set_aside)
    assert tools.troubles.reason == ""
    assert lanes.queued_bytes == 0
    put(lanes, item_of(blocked, 301, "b1", BASE + 301))
    until(lambda: blocked.offsets.open == 0)
    lanes.close(5)


def test_what_is_set_aside_goes_with_its_partition_and_ends_with_the_sink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle_module, "_PATIENCE_S", 0)
    cluster = FakeCluster()
    blocked, _, _ = blocked_and_flowing(cluster)
    tools = tools_of(cluster.bulk(), settings=SinkSettings(lanes=2, linger_s=0))
    lanes = Lanes(tools)
    lanes.start()
    put(lanes, item_of(blocked, 0, "a", BASE))
    until(lambda: lanes.set_aside and lanes.lane_bytes == 0)
    blocked.owned = False
    until(lambda: not lanes.set_aside, 20)
    assert tools.troubles.reason == ""
    again = part_of(0, topic="blocked")
    put(lanes, item_of(again, 0, "a", BASE))
    until(lambda: lanes.set_aside)
    began = time.monotonic()
    lanes.close(5)
    assert time.monotonic() - began < 2
    assert again.offsets.mark.offset == 0
    assert not cluster.docs


def test_not_everything_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle_module, "_PATIENCE_S", 0)
    monkeypatch.setattr(sidings, "MOST", 1)
    cluster, free = FakeCluster(), threading.Event()
    cluster.item_rule = lambda _op, _target: None if free.is_set() else (503, "unavailable_shards_exception")
    parts = [part_of(0, topic=name) for name in ("one", "two")]
    tools = tools_of(cluster.bulk(), settings=SinkSettings(lanes=1, linger_s=0))
    lanes = Lanes(tools)
    lanes.start()
    for part in parts:
        put(lanes, item_of(part, 0, part.topic, BASE))
    until(lambda: len(lanes.set_aside) == 1)
    until(lambda: "elasticsearch, lane 0" in tools.troubles.reason)
    assert lanes.lane_bytes > 0
    free.set()
    until(lambda: all(part.offsets.open == 0 for part in parts), 20)
    lanes.close(5)
