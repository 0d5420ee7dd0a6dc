"""Rebuilds that would make things worse: rows that the new index refuses, a topic that has lost its beginning."""

from __future__ import annotations

from contextlib import closing

import pytest
from confluent_kafka import TopicPartition

from auditor.audit import audit
from auditor.dead_letters import DeadLetters
from auditor.run_context import Context
from ops.config import load
from rebuilding import rebuilt
from runner import Pipeline
from schemas.errors import ExitCode
from schemas.names import next_alias
from schemas.report import AuditStatus, FindingClass
from sink_cli import sink_json
from sink_world import World

pytestmark = pytest.mark.stack

BROKEN = {"tables": {"shop.orders": {"fields": {"type": {"note": "integer"}}}}}
ROWS = 30


def filled(world: World, policy: str = "compact") -> tuple[Pipeline, Pipeline]:
    """A sink that runs, and one that is configured with a type that most rows do not fit, and is stopped."""
    world.source.table(**{"cleanup.policy": policy})
    world.put(*({"id": n, "note": f"n{n}"} for n in range(ROWS)), {"id": 1000, "note": "7"})
    sink = world.sink()
    world.await_equal()
    broken = world.sink(sink=BROKEN, ready=False)
    broken.stop("sink")
    world.pipeline = sink
    return sink, broken


def status(sink: Pipeline) -> tuple[AuditStatus, dict[FindingClass, int]]:
    report = audit(Context(settings=load(sink.config).settings))
    return report.status, report.tables[0].counts


def test_an_index_that_refuses_rows_is_not_swapped_in(world: World) -> None:
    sink, broken = filled(world)
    done = rebuilt(broken.config, "shop.orders", "--drop-old")
    assert (done.code, done.result["swapped"]) == (ExitCode.FINDINGS, False), done.said
    assert f"{ROWS} rows do not fit the new index: document_parsing_exception" in done.said.replace("\n", " ")
    assert world.behind_alias() == [f"{world.alias()}.000001"]
    # What the unfinished index refused explains nothing that is missing in the one that is searched.
    world.client.delete(index=world.alias(), id="3")
    assert status(sink) == (AuditStatus.FINDINGS, {FindingClass.MISSING: 1})
    assert sink_json(sink, "deadletter", "list")["letters"] == []
    assert rebuilt(broken.config, "shop.orders", "--abort").code == 0
    assert status(sink) == (AuditStatus.FINDINGS, {FindingClass.MISSING: 1})
    with closing(
        DeadLetters(Context(settings=load(sink.config).settings), world.alias(), next_alias(world.alias()))
    ) as none:
        none.read_on()
        assert not any(none.newest(str(n)) for n in range(ROWS))
    assert sink.stop("sink") == 0  # its rules are others, for which it would stop behind the new index
    taken = rebuilt(broken.config, "shop.orders", "--accept-dead-letters")
    assert (taken.code, taken.result["swapped"]) == (0, True), taken.said
    assert set(world.shown()) == {"1000"}
    assert status(broken) == (AuditStatus.CLEAN, {FindingClass.DEAD_LETTERED: ROWS})
    assert len(sink_json(broken, "deadletter", "list")["letters"]) == ROWS
    # What the index that is searched refuses as well is no news.
    again = rebuilt(broken.config, "shop.orders")
    assert (again.code, again.result["swapped"]) == (0, True), again.said
    assert status(broken) == (AuditStatus.CLEAN, {FindingClass.DEAD_LETTERED: ROWS})
    # An index that takes them leaves no letter that would explain their loss.
    mended = rebuilt(sink.config, "shop.orders")
    assert (mended.code, mended.result["swapped"]) == (0, True), mended.said
    assert world.shown() == world.rows["shop.orders"]
    assert sink_json(sink, "deadletter", "list")["letters"] == []
    world.client.delete(index=world.alias(), id="3")
    assert status(sink) == (AuditStatus.FINDINGS, {FindingClass.MISSING: 1})


def test_a_topic_that_has_lost_its_first_records(world: World) -> None:
    sink, _ = filled(world, "compact,delete")
    (number, end), *_ = ((number, end) for number, end in world.ends().items() if end > 3)
    place = TopicPartition(world.alias(), number, end - 1)
    assert world.source.admin.delete_records([place])[place].result(60).low_watermark == end - 1
    lost = rebuilt(sink.config, "shop.orders")
    assert (lost.code, lost.result) == (ExitCode.POSITION_LOST, {}), lost.said
    assert f"it begins at offset {end - 1} in partition {number}" in lost.said.replace("\n", " ")
    assert world.indices() == [f"{world.alias()}.000001"]
    world.await_equal()
    assert sink.stop("sink") == 0
