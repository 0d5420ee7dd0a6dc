"""What the log holds: a late beginning, barriers, partitions, open transactions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import TopicPartition

from auditing import World, found, ids
from schemas.report import AuditStatus

pytestmark = pytest.mark.stack

MakeWorld = Callable[..., World]


def test_a_window_that_does_not_begin_at_the_logs_start(make_world: MakeWorld) -> None:
    world = make_world(partitions=1, topic_config={"cleanup.policy": "compact,delete"})
    world.put(*ids(100))
    world.sync()
    low = world.put("0", text="first of the window")[0].offset
    world.put("1", "2", text="updated")
    world.drop("50", "51")
    world.sync(skip=lambda row: row.text in ("2", "51") and row.offset > low)
    world._admin.delete_records([TopicPartition(world.topic, 0, low)])
    for future in world._admin.delete_records([TopicPartition(world.topic, 0, low)]).values():
        future.result(60)
    world.remove("1", "70")  # nothing is known of 70 any more
    report = world.audit()
    assert report.tables[0].windows[0].low == low
    assert found(report) == {"missing": ["1"], "stale": ["2"], "orphan": ["51"]}


def test_barriers(make_world: MakeWorld) -> None:
    world = make_world()
    world.put(*ids(50))
    world.sync()
    world.barrier()
    world.put(*ids(10, 45))
    world.sync()
    report = world.audit()
    assert (found(report), report.tables[0].keys) == ({}, 10)
    world.put(*ids(5))
    world.sync()
    world.barrier()
    world.sync(skip=lambda row: row.op == "t")  # the sweep was lost
    report = world.audit()
    assert found(report) == {"orphan": sorted([*ids(5), *ids(10, 45)])}
    assert {finding.expected.op for finding in report.findings() if finding.expected} == {"t"}


def test_a_barrier_that_the_sink_has_passed_in_one_partition_only(make_world: MakeWorld) -> None:
    world = make_world(partitions=2)
    world.put(*ids(30))
    world.sync()
    report = world.audit()
    assert report.status is AuditStatus.CLEAN
    world.barrier()
    world.sync(1)
    assert found(world.audit()) == {}  # lagging
    world.sync()
    assert world.audit().status is AuditStatus.CLEAN


def test_a_key_in_two_partitions_is_judged_by_its_higher_seq(make_world: MakeWorld) -> None:
    world = make_world(partitions=3)
    world.put("k", "m", text="old", partition=0)
    world.put("k", "m", text="new", partition=1)
    world.put("a", "b", partition=2)
    world.drop("b", partition=0)
    world.sync()
    assert found(world.audit()) == {}
    world.overwrite("k", world.rows[0].source(world.topic_id))
    world.overwrite("b", world.rows[5].source(world.topic_id))
    assert found(world.audit()) == {"stale": ["k"], "orphan": ["b"]}


def test_an_open_transaction_is_not_audited(make_world: MakeWorld) -> None:
    world = make_world(partitions=1)
    world.put(*ids(10))
    world.sync()
    abort = world.hang("open")
    try:
        report = world.audit()
    finally:
        abort()
    assert report.status is AuditStatus.CLEAN
    assert world.audit().status is AuditStatus.CLEAN  # aborted records are none
