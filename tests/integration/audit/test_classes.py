"""What is wrong is named, with its class, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from auditing import World, found, ids
from auditor import queries
from auditor.repair import repair
from auditor.run_context import Context
from schemas.document import fingerprint
from schemas.report import AuditStatus, FindingClass

pytestmark = pytest.mark.stack

MakeWorld = Callable[..., World]


def test_what_is_right_is_clean(make_world: MakeWorld) -> None:
    world = make_world()
    world.put(*ids(300))
    world.put("7", "8", text="again")
    world.drop("9", "10")
    world.drop("11", lone=True)
    world.put("9", text="back")
    world.sync()
    report = world.audit()
    assert report.status is AuditStatus.CLEAN
    assert (report.tables[0].keys, found(report)) == (298, {})
    assert sum(window.deleted for window in report.tables[0].windows) == 2
    assert report.tables[0].cost.rounds == 1


def test_every_class_is_named_exactly(make_world: MakeWorld) -> None:
    world = make_world()
    world.put(*ids(500))
    world.sync()
    old = {id_: world.document(id_)["_source"] for id_ in ("20", "21")}
    world.put("20", "21", text="newer")
    gone = world.drop("30", "31")
    world.sync()
    world.remove("10", "499")
    for id_, source in old.items():
        world.overwrite(id_, source)
    before = next(row for row in world.rows if row.text == "30")
    world.overwrite("30", before.source(world.topic_id))
    world.overwrite("nobody", {"text": "no _cdc"})
    other = world.rows[0].source("another-topic-id-0000")
    world.overwrite("stranger", other)
    report = world.audit()
    assert found(report) == {
        "missing": ["10", "499"],
        "stale": ["20", "21"],
        "orphan": ["30"],
        "foreign": ["nobody", "stranger"],
    }
    assert report.status is AuditStatus.FINDINGS
    assert report.tables[0].counts[FindingClass.MISSING] == 2
    [orphan] = report.findings(FindingClass.ORPHAN)
    assert orphan.document == "shop.things/30"
    assert orphan.expected is not None
    assert (orphan.expected.op, orphan.expected.seq) == ("d", gone[0].seq)
    [missing, _] = report.findings(FindingClass.MISSING)
    assert missing.found is None
    [stale, _] = report.findings(FindingClass.STALE)
    assert stale.found is not None
    assert stale.expected is not None
    assert (stale.found.offset or 0) < stale.expected.offset


def test_one_missing_and_one_orphan_in_a_range_do_not_cancel_out(make_world: MakeWorld) -> None:
    world = make_world(partitions=1)
    world.put(*ids(40, 100))
    world.sync()
    source = world.document("120")["_source"]
    world.drop("120")
    world.sync()
    world.overwrite("120", source)
    world.remove("121")
    report = world.audit()
    assert found(report) == {"missing": ["121"], "orphan": ["120"]}


def test_an_update_lost_inside_the_window_is_stale(make_world: MakeWorld) -> None:
    world = make_world()
    world.put(*ids(50))
    world.sync()
    world.put("5", "6", text="lost")
    world.sync(skip=lambda row: row.text == "5")
    assert found(world.audit()) == {"stale": ["5"]}


def test_a_lost_delete_is_an_orphan(make_world: MakeWorld) -> None:
    world = make_world()
    world.put(*ids(50))
    world.drop("5", "6")
    world.drop("7", lone=True)
    world.sync(skip=lambda row: row.op == "d" and row.text in ("5", "7"))
    assert found(world.audit()) == {"orphan": ["5", "7"]}


def test_all_is_lost(make_world: MakeWorld) -> None:
    world = make_world()
    world.put(*ids(1500))
    world.sync(skip=lambda _row: True)
    report = world.audit()
    assert len(report.findings(FindingClass.MISSING)) == 1500
    assert report.tables[0].cost.requests < 18  # each was asked for twice


def test_a_document_overwritten_without_cdc_is_stale_and_of_one_class_only(make_world: MakeWorld) -> None:
    world = make_world()
    world.put(*ids(20))
    world.drop("3")
    world.sync()
    world.overwrite("4", {"text": "by hand"})
    world.overwrite("3", {"text": "by hand"})
    assert found(world.audit()) == {"stale": ["4"], "orphan": ["3"]}


def test_a_copy_under_another_id_is_foreign(make_world: MakeWorld) -> None:
    world = make_world()
    world.put(*ids(20))
    world.sync()
    world.overwrite("copy", world.document("4")["_source"])
    assert found(world.audit()) == {"foreign": ["copy"]}


def test_a_cdc_that_is_damaged(make_world: MakeWorld) -> None:
    world = make_world()
    world.put(*ids(20))
    world.sync()
    whole = world.document("4")["_source"]
    for number, harm in enumerate(
        ({"fp": 1}, {"offset": [9000, 9001]}, {"key": "5"}, {"partition": 99}, {"fp": "7"}), 4
    ):
        source = world.document(str(number))["_source"]
        world.overwrite(str(number), {**source, "_cdc": {**source["_cdc"], **harm}})
    world.overwrite("x", {**whole, "_cdc": {**whole["_cdc"], "key": "x", "offset": 10**6}})
    assert found(world.audit()) == {"stale": ["4", "5", "6", "7", "8"], "orphan": ["x"]}


def test_a_document_past_the_end_of_the_log_or_of_no_partition(make_world: MakeWorld) -> None:
    world = make_world(audit={"max_repair_share": 1.0})
    [row, *_] = world.put(*ids(20))
    world.drop("3")
    world.sync()
    [high] = [window.high for window in world.audit().tables[0].windows if window.partition == row.partition]
    for key, where in {"3": {"offset": high}, "ghost": {"offset": high}, "nowhere": {"partition": 3}}.items():
        block = {**row.source(world.topic_id)["_cdc"], "key": key, **where}
        world.overwrite(key, {"text": "x", "_cdc": {**block, "fp": fingerprint(key, block["partition"], high)}})
    report = world.audit()
    assert found(report) == {"orphan": ["3", "ghost"], "foreign": ["nowhere"]}
    assert repair(Context(settings=world.settings), report, apply=True).repaired == 2
    world.remove("nowhere")
    assert world.audit().status is AuditStatus.CLEAN


def test_dead_letters_explain(make_world: MakeWorld) -> None:
    world = make_world()
    world.put(*ids(50))
    world.sync()
    refused = [*world.put("5", text="refused"), *world.put("new", text="refused")]
    world.sync(skip=lambda row: row in refused)
    for row in refused:
        world.dead_letter(row)
    report = world.audit()
    assert found(report) == {"dead_lettered": ["5", "new"]}
    assert report.status is AuditStatus.CLEAN
    world.put("5", text="good again")
    world.sync()
    assert found(world.audit()) == {"dead_lettered": ["new"]}


def test_a_switched_off_fp_sum_would_miss_what_cancels_out(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checker is tested too: with counts alone the pair goes unseen."""
    world = make_world(partitions=1)
    world.put(*ids(40, 100))
    world.sync()
    source = world.document("120")["_source"]
    world.drop("120")
    world.sync()
    world.overwrite("120", source)
    world.remove("121")
    monkeypatch.setattr("auditor.skim._SKIM", None)
    monkeypatch.setattr("auditor.skim.fingerprints_of", lambda keys, *_: [0] * len(keys))
    read_sums = queries.read_sums
    monkeypatch.setattr(queries, "read_sums", lambda *found: [total._replace(fp=0) for total in read_sums(*found)])
    assert found(world.audit()) == {}
    assert found(world.audit(deep=True)) == {"missing": ["121"], "orphan": ["120"]}  # needs no sums


def test_a_copy_on_another_shard_is_foreign(make_world: MakeWorld) -> None:
    world = make_world(partitions=1)
    world.put(*ids(30))
    world.drop("3")
    world.sync()
    home = {id_: world.document(id_) for id_ in ("7", "8", "3")}

    def shard(routing: str) -> int:
        return int(world.es.search_shards(index=world.index, routing=routing)["shards"][0][0]["shard"])

    def copy(id_: str, **fields: object) -> str:
        """On the shard where the sink would not put it; there are two."""
        routing = next(letter for letter in "abcdefghij" if shard(letter) != shard(id_))
        document = {**world.rows[int(id_)].source(world.topic_id), **fields}
        world.es.index(index=world.index, id=id_, document=document, routing=routing)
        return routing

    routings = {"7": copy("7"), "8": copy("8", _cdc={}), "3": copy("3")}
    for deep in (False, True):
        report = world.audit(deep=deep)
        assert found(report) == {"foreign": ["3", "7", "8"]}
    outcome = repair(Context(settings=world.settings), report, apply=True)
    assert [mend.outcome.value for mend in outcome.repairs] == ["left"] * 3
    assert {id_: world.document(id_) for id_ in home} == home
    for id_, routing in routings.items():
        world.es.delete(index=world.index, id=id_, routing=routing)
    assert world.audit(deep=True).status is AuditStatus.CLEAN
