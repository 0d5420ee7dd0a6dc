"""Audits while a writer writes and a sink follows: no false alarm, and what was harmed is named."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from auditing import World, found
from auditor.elastic_side import ElasticSide
from auditor.requests import Requests
from auditor.sink_side import Settled, SinkSide
from runner import until
from schemas.report import AuditReport, AuditStatus

pytestmark = pytest.mark.stack

MakeWorld = Callable[..., World]


def now_s() -> float:
    return time.time()


@contextmanager
def living(world: World, keys: list[str], seed: int, due_s: Callable[[], float] = now_s) -> Iterator[None]:
    """Updates, deletes and re-inserts; the sink is a step behind, offsets later than documents.

    `due_s`: the sink takes what was written before that time.
    """
    stop = threading.Event()
    errors: list[BaseException] = []

    def write() -> None:
        rng = random.Random(seed)
        try:
            while not stop.is_set():
                some = rng.sample(keys, 20)
                world.put(*some[:12], text=str(rng.random()))
                world.drop(*some[12:])
                if rng.random() < 0.05:
                    world.barrier(below=world.rows[0].seq)
                due_ms = due_s() * 1000
                rows = [row for row in world.rows[world.synced :] if row.ts_ms <= due_ms]
                world._bulk(rows[: rng.randrange(len(rows) + 1)])  # applied, not committed
                if rng.random() < 0.7:
                    world.sync(len(rows))
        except BaseException as error:  # noqa: BLE001  raised again where the test sees it
            errors.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def late_sink(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, lag_s: float) -> None:
    """The sink follows so much later, and rows are written all the time; one document is wrong.

    So much later than the audit begins to wait for it, too, however long that took to read.
    """
    world, waits = make_world(audit={"wait_s": lag_s + 120}), SinkSide.wait
    began_s = float("inf")

    def wait(sink: SinkSide, *arguments: Any) -> Settled:
        nonlocal began_s
        began_s = min(began_s, now_s())
        return waits(sink, *arguments)

    def due_s() -> float:
        found_s = now_s() - lag_s
        return found_s if found_s >= began_s else 0

    monkeypatch.setattr(SinkSide, "wait", wait)
    moving = [f"m{number}" for number in range(100)]
    world.put(*moving, "s1", "s2")
    world.sync()
    world.remove("s1")
    with living(world, moving, 3, due_s):
        until(lambda: len(world.rows) > 500, "writes")
        report = world.audit()
    assert (report.reason, found(report)) == ("", {"missing": ["s1"]})
    assert report.tables[0].lag.waited_s > lag_s / 2


def test_a_sink_that_is_late(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    late_sink(make_world, monkeypatch, 1.5)


@pytest.mark.soak
def test_a_sink_that_is_30_s_late(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    late_sink(make_world, monkeypatch, 30)


def test_a_truncate_and_a_new_epoch_in_the_middle(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world()
    world.put(*(f"m{number}" for number in range(60)))
    world.sync()
    world.remove("m7")
    real = Requests.send

    def send(self: Requests, what: str, call: Callable[[], Any]) -> Any:
        answer = real(self, what, call)
        if what == "point in time":
            world.barrier()
            world._seq += 1 << 39
            world.put("m8", "new")
            world.sync()
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(Requests, "send", send)
        assert found(world.audit()) == {}
    assert world.audit(deep=True).status is AuditStatus.CLEAN


@pytest.mark.parametrize("seed", [1, 2])
def test_no_false_alarm_and_nothing_missed(make_world: MakeWorld, seed: int) -> None:
    world = make_world(audit={"wait_s": 20})
    moving = [f"m{number}" for number in range(200)]
    still = [f"s{number:04}" for number in range(800)]
    world.put(*moving, *still)
    world.sync()
    with living(world, moving, seed):
        for _ in range(4):
            report = world.audit()
            assert (report.reason, report.status, found(report)) == ("", AuditStatus.CLEAN, {})
        world.remove("s0007", "s0500")
        world.overwrite("s0100", {"text": "by hand"})
        for _ in range(3):
            assert found(world.audit()) == {"missing": ["s0007", "s0500"], "stale": ["s0100"]}
    world.sync()
    assert found(world.audit()) == {"missing": ["s0007", "s0500"], "stale": ["s0100"]}


@pytest.fixture
def at_the_refresh(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Do something between the wait for the sink and the point in time, once."""

    def arrange(act: Callable[[], object]) -> None:
        enter = ElasticSide.__enter__

        def patched(side: ElasticSide) -> ElasticSide:
            monkeypatch.setattr(ElasticSide, "__enter__", enter)
            act()
            return enter(side)

        monkeypatch.setattr(ElasticSide, "__enter__", patched)

    return arrange


def searches(report: AuditReport) -> int:
    return sum(level.requests for level in report.tables[0].search)


@pytest.mark.parametrize("most", [100_000, 100])  # of these, more are searched like all others
def test_keys_that_are_always_being_written_are_judged(
    make_world: MakeWorld, at_the_refresh: Callable[[Callable[[], object]], None], monkeypatch: pytest.MonkeyPatch,
    most: int,
) -> None:  # fmt: skip
    monkeypatch.setattr("auditor.expected._LEFT_OUT_KEYS", most)
    monkeypatch.setattr("auditor.table_audit.CHUNK", 250)
    world = make_world()
    keys = [f"k{number:04}" for number in range(2000)]
    world.put(*keys)
    world.sync()
    world.remove("k0003")
    quiet = world.audit()
    assert found(quiet) == {"missing": ["k0003"]}
    moving = random.Random(1).sample(keys[10:], 600)
    stale, missing, left = moving[5], moving[7], moving[450]
    world.put(stale, text="lost")
    world.drop(left)
    world.sync(skip=lambda row: row.text in (stale, left))
    world.remove(missing)

    def write() -> None:
        first = len(world.rows)
        world.put(*moving[:400], left, text="rewritten")
        world.drop(*(key for key in moving[400:] if key != left))
        # Every other one is applied, and no offset is committed.
        world._bulk([row for row in world.rows[first::2] if row.text not in (stale, missing, left)])

    at_the_refresh(write)
    live = world.audit()
    assert found(live) == {"missing": sorted(["k0003", missing]), "stale": [stale], "orphan": [left]}
    [table] = live.tables
    if most == 100:
        assert (table.unsettled, table.keys) == (0, 1999)
        return
    assert (table.unsettled, table.keys) == (600, 1400)
    assert searches(live) <= searches(quiet)
    world.sync()
    after = world.audit()
    assert (found(after), after.tables[0].unsettled) == ({"missing": ["k0003"]}, 0)


def test_a_table_of_keys_in_flight_alone_is_judged(
    make_world: MakeWorld, at_the_refresh: Callable[[Callable[[], object]], None]
) -> None:
    world = make_world()
    keys = [f"k{number:04}" for number in range(600)]
    at_the_refresh(lambda: world.put(*keys))
    report = world.audit()
    assert (report.status, report.tables[0].unsettled, report.proven) == (AuditStatus.INCONCLUSIVE, 0, [])
    assert "nothing was checked" in report.reason
    world.sync()
    world.remove("k0001")
    at_the_refresh(lambda: (world.put(*keys[:300], text="rewritten"), world.drop(*keys[300:])))
    report = world.audit()
    assert (found(report), report.tables[0].unsettled) == ({"missing": ["k0001"]}, 600)
    world.sync()
    at_the_refresh(lambda: (world.put(*keys[:300], text="again"), world.put(*keys[300:])))
    report = world.audit()
    assert (report.status, report.tables[0].unsettled) == (AuditStatus.CLEAN, 600)


def test_what_the_sink_wrote_while_the_audit_read_is_audited(
    make_world: MakeWorld, at_the_refresh: Callable[[Callable[[], object]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watermark moves up to the sink's position: a change that was lost since the audit began is found."""
    world = make_world()
    world.put(*map(str, range(50)))
    world.sync()
    wait = SinkSide.wait

    def patched(sink: SinkSide, *arguments: Any) -> Settled:
        world.put("1", "2", "new", text="since")
        world.sync(skip=lambda row: row.text in ("2", "new") and row.after is not None and row.after["text"] == "since")
        return wait(sink, *arguments)

    monkeypatch.setattr(SinkSide, "wait", patched)
    world.remove("5")
    at_the_refresh(lambda: world.put("4", "5", text="not settled"))
    report = world.audit()
    # 5 is judged although it is being written: what was settled of it is not there.
    assert found(report) == {"missing": ["5", "new"], "stale": ["2"]}
    [table] = report.tables
    assert (table.keys, table.unsettled, table.lagging) == (49, 2, 0)
