"""Audits of a part of the topic: since a time, since offsets, since the last that was clean."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from auditing import World, found, ids
from auditor import proven, shelf
from auditor.audit import audit
from auditor.outputs import Outputs
from auditor.repair import repair
from auditor.round import Round
from auditor.run_context import Context
from auditor.since import since
from ops.settings import SinkTableSettings
from schemas.errors import ReportOutdatedError
from schemas.report import AuditReport, AuditStatus

pytestmark = pytest.mark.stack

MakeWorld = Callable[..., World]


def run(world: World, text: str) -> AuditReport:
    return audit(Context(settings=world.settings, since=since(text)))


def test_only_what_came_since(make_world: MakeWorld) -> None:
    world = make_world()
    world.put(*map(str, range(100)))
    world.sync()
    time.sleep(0.01)  # publish times are in milliseconds
    moment_ms = int(time.time() * 1000)
    world.put("5", "6", "new", text="later")
    world.drop("7", "8")
    world.sync(skip=lambda row: row.text in ("6", "7"))
    world.remove("50", "new")  # 50 came before: its loss is not looked for
    wanted = {"missing": ["new"], "orphan": ["7"], "stale": ["6"]}
    offsets = ",".join(
        f"{part}:{min((row.offset for row in world.rows[100:] if row.partition == part), default=10**6)}"
        for part in range(world.partitions)
    )
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment_ms / 1000)) + f".{moment_ms % 1000:03}Z"
    for text in (offsets, moment):
        report = run(world, text)
        [table] = report.tables
        assert found(report) == wanted
        assert (table.since, table.keys) == (text, 3)
        assert table.cost.events == 7  # each delete has its tombstone
    assert found(world.audit()) == {**wanted, "missing": ["50", "new"]}


def test_since_the_last_clean_one(make_world: MakeWorld) -> None:
    world = make_world()
    world.put(*map(str, range(60)))
    world.sync()
    first = run(world, "clean")  # nothing is proven yet, so all is read
    assert (first.status, first.tables[0].keys) == (AuditStatus.CLEAN, 60)
    proven.note(first)
    world.put("1", text="again")
    world.sync(skip=lambda row: row.text == "1" and row.after is not None and row.after["text"] == "again")
    second = run(world, "clean")
    assert found(second) == {"stale": ["1"]}
    assert (second.tables[0].cost.events, second.tables[0].keys) == (1, 1)
    world.remove("50")  # it came before what was proven
    assert found(run(world, "clean")) == {"stale": ["1"]}
    proven.note(world.audit())
    third = run(world, "clean")  # what is known to be wrong is not forgotten
    assert (found(third), third.tables[0].since) == ({"missing": ["50"], "stale": ["1"]}, "")
    assert repair(Context(settings=world.settings), third, apply=True).repaired == 2
    proven.note(run(world, "clean"))
    assert run(world, "clean").tables[0].since == "clean"
    place = shelf.folder(world.name) / "proven.json"
    place.write_bytes(place.read_bytes().replace(b'{"0":', b'{"0":9'))  # as if the log had been longer
    assert run(world, "clean").tables[0].since == ""


def test_a_plain_audit_proves_nothing_for_a_deep_one(make_world: MakeWorld) -> None:
    world = make_world()
    rows = world.put(*ids(30))
    world.sync()
    context = Context(settings=world.settings, since=since("clean"), deep=True)
    world.es.index(index=world.index, id="7", version=rows[7].seq, version_type="external_gte",
                   document={**rows[7].source(world.topic_id), "text": "another"})  # fmt: skip
    proven.note(run(world, "clean"))
    world.put("1", text="again")
    world.sync()
    assert run(world, "clean").tables[0].since == "clean"
    wrong = audit(context)
    assert (found(wrong), wrong.tables[0].since) == ({"content": ["7"]}, "")
    assert repair(replace(context, since=None), wrong, apply=True).repaired == 1
    proven.note(audit(context))
    world.put("2", text="again")
    world.sync()
    right = audit(context)
    assert (right.status, right.tables[0].since, right.tables[0].keys) == (AuditStatus.CLEAN, "clean", 1)
    proven.note(right)
    assert run(world, "0:0").tables[0].cost.events > 1
    assert run(world, "clean").tables[0].cost.events == 0  # what a deep one has proven is proven


def made_anew(world: World, *, without: str) -> None:
    """As somebody does it from a copy that is older."""
    world.es.indices.delete(index=world.index)
    world.make_index()
    world._bulk([row for row in world.rows if row.text != without])


@pytest.mark.parametrize("changed", ["index", "rules"])
def test_what_another_index_had_proves_nothing(make_world: MakeWorld, changed: str) -> None:
    world = make_world()
    world.put(*ids(20))
    world.sync()
    proven.note(run(world, "clean"))
    world.put("21")
    world.sync()
    before = run(world, "clean")
    assert (before.status, before.tables[0].keys) == (AuditStatus.CLEAN, 1)
    if changed == "index":
        made_anew(world, without="7")
        wanted = {"missing": ["7"]}
    else:
        special = SinkTableSettings.model_validate({"filter": [{"column": "id", "op": "!=", "value": "7"}]})
        world.settings.sink.tables[world.table.full_name] = special
        wanted = {"orphan": ["7"]}
    report = run(world, "clean")
    assert (found(report), report.tables[0].since) == (wanted, "")
    if changed == "index":
        made_anew(world, without="8")
        with pytest.raises(ReportOutdatedError, match="made anew"):
            repair(Context(settings=world.settings), report, apply=True)


def test_a_barrier_speaks_of_documents_from_before_the_window(make_world: MakeWorld) -> None:
    world = make_world(audit={"max_repair_share": 1.0})
    world.put(*ids(30))
    world.sync()
    proven.note(run(world, "clean"))
    world.barrier()
    world.put("3", *ids(6, 100), text="after")
    world.drop("5")
    world.sync()
    right = run(world, "clean")
    assert (right.status, right.tables[0].keys) == (AuditStatus.CLEAN, 7)
    for row in world.rows[:30]:
        if row.text not in ("3", "5"):
            world.overwrite(row.id, row.source(world.topic_id))  # the sweep was lost
    wrong = run(world, "clean")
    assert found(wrong) == {"orphan": sorted(set(ids(30)) - {"3", "5"})}
    assert {finding.expected.op for finding in wrong.findings() if finding.expected} == {"t"}
    assert wrong.tables[0].search[0].requests == 1
    assert repair(Context(settings=world.settings), wrong, apply=True).repaired == 28
    assert run(world, "clean").status is world.audit().status is AuditStatus.CLEAN


def test_what_cannot_be_kept_hides_no_findings(make_world: MakeWorld) -> None:
    world = make_world()
    world.put(*map(str, range(20)))
    world.sync()
    shelf.folder(world.name).joinpath("proven.json").write_text("{")
    context = Context(settings=world.settings)
    done = Round().once(context, Outputs(context))
    assert (done.report.status, done.undelivered and done.undelivered.code) == (AuditStatus.CLEAN, "usage")
    world.remove("7")
    assert found(Round().once(context, Outputs(context)).report) == {"missing": ["7"]}
    unproven = run(world, "clean")
    assert unproven.status is AuditStatus.INCONCLUSIVE
    assert "Remove the file" in unproven.reason
