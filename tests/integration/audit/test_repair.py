"""Repair on real servers: each class is mended, later genuine events still win, nothing newer is overwritten."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from auditing import World, found
from auditor.repair import repair
from auditor.run_context import Context
from schemas.errors import RepairCapError, ReportOutdatedError, UsageError
from schemas.report import Against, AuditReport, AuditStatus, RepairOutcome, RepairReport

pytestmark = pytest.mark.stack

MakeWorld = Callable[..., World]


def mend(world: World, report: AuditReport, *, apply: bool = True) -> RepairReport:
    return repair(Context(settings=world.settings), report, apply=apply)


def harm(world: World) -> None:
    """Missing 1 and 2, stale 3 and 4, orphaned 5."""
    world.put(*map(str, range(60)), text="first")
    world.sync()
    old = {key: world.document(key)["_source"] for key in ("3", "4", "5")}
    world.put("3", "4", text="second")
    world.drop("5")
    world.sync()
    world.remove("1", "2")
    for key, source in old.items():
        world.overwrite(key, source)


def test_each_class_is_mended_and_later_events_win(make_world: MakeWorld) -> None:
    world = make_world(table="a[1]", audit={"max_repair_share": 1.0})  # a pattern that does not match itself
    harm(world)
    report = world.audit("shop.a[1]")
    assert found(report) == {"missing": ["1", "2"], "stale": ["3", "4"], "orphan": ["5"]}
    planned = mend(world, report, apply=False)
    assert (planned.repaired, planned.counts) == (0, {RepairOutcome.PLANNED: 5})
    assert planned.status is AuditStatus.FINDINGS
    assert found(world.audit()) == found(report)  # a dry run writes nothing

    done = mend(world, report)
    assert (done.repaired, done.status) == (5, AuditStatus.CLEAN)
    assert world.audit().status is AuditStatus.CLEAN
    repaired = world.document("3")
    assert repaired["_source"]["text"] == "second"
    assert repaired["_version"] == repaired["_source"]["_cdc"]["seq"] + repaired["_source"]["_cdc"]["rev"]
    # A deleted document's version is not to be seen before the first try; the plain deletes had added one.
    assert {one.id: one.rev for one in planned.repairs} == {"1": 1, "2": 1, "3": 2, "4": 2, "5": 2}
    assert {one.id: one.rev for one in done.repairs} == {"1": 2, "2": 2, "3": 2, "4": 2, "5": 2}

    again = mend(world, report)
    assert (again.repaired, again.counts, again.status) == (0, {RepairOutcome.SETTLED: 5}, AuditStatus.CLEAN)

    world.put(*map(str, range(1, 6)), text="later")
    world.sync()
    assert {world.document(str(key))["_source"]["text"] for key in range(1, 6)} == {"later"}
    world.drop(*map(str, range(1, 6)))
    world.sync()
    assert world.audit().status is AuditStatus.CLEAN


def test_a_key_that_changed_since_the_report_is_judged_again(make_world: MakeWorld) -> None:
    world = make_world(audit={"max_repair_share": 1.0})
    harm(world)
    report = world.audit()
    world.put("1", "5", text="newest")
    world.drop("3")
    world.sync()
    done = mend(world, report)
    outcomes = {one.id: one.outcome.value for one in done.repairs}
    assert outcomes == {"1": "settled", "2": "repaired", "3": "settled", "4": "repaired", "5": "settled"}
    assert world.document("1")["_source"]["text"] == "newest"
    assert world.document("3") is None
    assert world.audit().status is AuditStatus.CLEAN


def test_an_event_that_is_on_its_way_is_not_overtaken(make_world: MakeWorld) -> None:
    world = make_world(audit={"max_repair_share": 1.0})
    harm(world)
    report = world.audit()
    world.put("1", "3", text="on its way")
    world.drop("4")
    mend(world, report)
    world.sync()
    assert world.document("1")["_source"]["text"] == "on its way"
    assert world.document("3")["_source"]["text"] == "on its way"
    assert world.document("4") is None
    assert world.audit().status is AuditStatus.CLEAN


def test_orphans_that_the_log_knows_nothing_of_are_deleted_as_seen(make_world: MakeWorld) -> None:
    world = make_world(audit={"max_repair_share": 1.0})
    [*_, ghost] = world.put("1", "2", "3")
    world.sync()
    source = ghost.source(world.topic_id)
    block = {**source["_cdc"], "key": "ghost", "fp": 7}
    world.overwrite("ghost", {**source, "_cdc": block})
    report = world.audit()
    assert found(report) == {"orphan": ["ghost"]}
    done = mend(world, report)
    assert (done.repaired, done.repairs[0].version) == (1, None)
    assert world.document("ghost") is None
    world.overwrite("ghost", {**source, "_cdc": block})
    again = world.audit()
    world.overwrite("ghost", {**source, "_cdc": block})  # not the one that was seen: judged again, then deleted
    assert mend(world, again).repaired == 1


def test_foreign_documents_are_left_alone(make_world: MakeWorld) -> None:
    world = make_world()
    world.put("1", "2")
    world.sync()
    world.overwrite("x", {"text": "mine"})
    done = mend(world, world.audit())
    assert done.counts == {RepairOutcome.LEFT: 1}
    assert done.status is AuditStatus.FINDINGS
    assert world.document("x") is not None


def test_a_version_that_no_revision_beats_is_named(make_world: MakeWorld) -> None:
    world = make_world(audit={"max_repair_share": 1.0})
    [row, _] = world.put("1", "2")
    world.sync()
    world.es.index(
        index=world.index, id="1", document={"text": "x"}, version=row.seq + 10_000_000, version_type="external"
    )
    world.es.delete(index=world.index, id="2", version=row.seq + 10_000_000, version_type="external")
    report = world.audit()
    assert found(report) == {"stale": ["1"], "missing": ["2"]}
    done = mend(world, report)
    assert done.counts == {RepairOutcome.FAILED: 2}
    assert all("no revision" in one.reason for one in done.repairs)


def test_many_plain_writes_still_lose_to_the_smallest_revision_that_wins(make_world: MakeWorld) -> None:
    world = make_world(audit={"max_repair_share": 1.0})
    world.put("1", "2")
    world.sync()
    for _ in range(40):
        world.overwrite("1", {"text": "x"})
        world.overwrite("2", {"text": "x"})
    world.remove("2")
    done = mend(world, world.audit())
    assert {one.id: one.rev for one in done.repairs} == {"1": 41, "2": 42}
    assert world.audit().status is AuditStatus.CLEAN


def overwrite_as_the_sink_would(world: World, key: str, rev: int = 0, **more: str) -> None:
    """Other fields, under a version that the document's own words explain."""
    row = next(row for row in world.rows if row.text == key)
    source = {**row.source(world.topic_id, rev), **more}
    world.es.index(
        index=world.index, id=key, document=source, version=row.seq + rev, version_type="external_gte"
    )  # fmt: skip


def test_what_only_whole_documents_show_is_mended(make_world: MakeWorld) -> None:
    world = make_world(audit={"max_repair_share": 1.0})
    world.put(*map(str, range(20)))
    world.sync()
    overwrite_as_the_sink_would(world, "3", text="by hand")
    overwrite_as_the_sink_would(world, "4", rev=7, text="by hand")
    for _ in range(3):
        world.overwrite("5", world.document("5")["_source"])
    world.remove("6")
    report = world.audit(deep=True)
    assert found(report) == {"content": ["3", "4"], "tampered": ["5"], "missing": ["6"]}
    planned = mend(world, report, apply=False)
    assert planned.counts == {RepairOutcome.PLANNED: 4}
    assert found(world.audit(deep=True)) == found(report)

    overwrite_as_the_sink_would(world, "4", rev=9)  # somebody was faster
    done = mend(world, report)
    assert (done.status, {one.id: one.rev for one in done.repairs}) == (
        AuditStatus.CLEAN,
        {"3": 1, "4": None, "5": 4, "6": 2},
    )
    assert world.document("3")["_source"]["text"] == "v"
    assert world.audit(deep=True).status is AuditStatus.CLEAN
    world.put("3", "5", text="later")
    world.sync()
    assert {world.document(key)["_source"]["text"] for key in ("3", "5")} == {"later"}


def test_what_was_not_compared_with_the_topic_the_topic_does_not_mend(make_world: MakeWorld) -> None:
    world = make_world()
    world.put("1")
    world.sync()
    report = world.audit().model_copy(update={"against": Against.MYSQL})
    with pytest.raises(UsageError, match="against mysql"):
        mend(world, report)


def test_caps(make_world: MakeWorld) -> None:
    world = make_world(audit={"max_repairs": 4})
    harm(world)
    report = world.audit()
    with pytest.raises(RepairCapError):
        mend(world, report)
    with capture_logs() as said:
        assert mend(world, report, apply=False).counts == {RepairOutcome.PLANNED: 5}
    assert [line["action"] for line in said] == ["repair_cap"]
    assert found(world.audit()) == found(report)


def test_a_report_about_another_index_is_refused(make_world: MakeWorld) -> None:
    world = make_world(audit={"max_repair_share": 1.0})
    harm(world)
    report = world.audit()
    other = f"{world.alias}.000002"
    world.es.indices.create(index=other, mappings=world.mappings())
    world.es.indices.update_aliases(
        actions=[
            {"remove": {"index": world.index, "alias": world.alias}},
            {"add": {"index": other, "alias": world.alias}},
        ]
    )
    try:
        with pytest.raises(ReportOutdatedError):
            mend(world, report)
    finally:
        world.es.indices.delete(index=other)


def test_below_a_barrier(make_world: MakeWorld) -> None:
    world = make_world(audit={"max_repair_share": 1.0})
    world.put("1", "2", "3")
    world.sync()
    world.barrier()
    world.sync(skip=lambda row: row.op == "t")
    report = world.audit()
    assert found(report) == {"orphan": ["1", "2", "3"]}
    assert mend(world, report).repaired == 3
    assert world.audit().status is AuditStatus.CLEAN
    world.put("1", text="after")
    world.sync()
    assert world.document("1") is not None
