"""The audit on real servers: it names exactly what was injected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from auditing import World, found
from auditor import queries, requests
from auditor.repair import repair
from auditor.run_context import Context
from schemas.document import fingerprint
from schemas.errors import UnreachableError
from schemas.key import document_id, key_text
from schemas.report import AuditStatus, FindingClass

pytestmark = pytest.mark.stack

MakeWorld = Callable[..., World]


def ids(count: int, start: int = 0) -> list[str]:
    return [str(number) for number in range(start, start + count)]


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
    assert report.tables[0].cost.requests < 12


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


ODD_KEYS = [
    "", " ", "a", "A", "a ", "a/b", "a,b", '["a","b"]', "sha256:abc", "é", "\uffee", "\U0001f600", "\U00010000",
    "\ue000", "x" * 512, "x" * 513, "y" * 3000, "\u00e9" * 300, "null", "0", "00", "\t", '"', "\\", "*", "a*", "\x00",
    "-", "_id", "OR 1=1",
]  # fmt: skip


def test_odd_keys_right_and_wrong(make_world: MakeWorld) -> None:
    world = make_world(audit={"leaf_keys": 1})
    world.put(*ODD_KEYS)
    world.sync()
    assert found(world.audit()) == {}
    chosen = ODD_KEYS[::2]
    world.remove(*(document_id(key) for key in chosen))
    report = world.audit()
    assert found(report) == {"missing": sorted(document_id(key) for key in chosen)}
    assert {finding.key for finding in report.findings()} == set(chosen)
    rest = ODD_KEYS[1::2]
    world.drop(*rest)
    world.sync(skip=lambda row: row.op == "d")
    world.put(*chosen)
    world.sync()
    assert found(world.audit()) == {"orphan": sorted(document_id(key) for key in rest)}


def test_composite_keys(make_world: MakeWorld) -> None:
    world = make_world(key=("a", "b"), audit={"leaf_keys": 1})
    keys = [("1", "2"), ("1,2", ""), ("", "1,2"), ('"', '","'), ("é", "\U0001f600"), ("x" * 300, "y" * 300)]
    world.put(*keys)
    world.sync()
    assert found(world.audit()) == {}
    wrong = [row.id for row in world.rows[::2]]
    world.remove(*wrong)
    assert found(world.audit()) == {"missing": sorted(wrong)}
    assert key_text(b'{"a":"1,2","b":""}') in {row.text for row in world.rows}


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
        future.result(10)
    world.remove("1", "70")  # nothing is known of 70 any more
    report = world.audit()
    assert report.tables[0].windows[0].low == low
    assert found(report) == {"missing": ["1"], "stale": ["2"], "orphan": ["51"]}


def test_a_lagging_sink_is_inconclusive(make_world: MakeWorld) -> None:
    world = make_world(audit={"wait_s": 0.5})
    world.put(*ids(50))
    world.sync()
    world.put("7", "x", text="not there yet")
    report = world.audit()
    assert report.status is AuditStatus.INCONCLUSIVE
    assert "is at offset" in report.reason
    assert (report.tables[0].lagging, found(report)) == (2, {})


def test_a_sink_that_has_committed_nothing_yet_is_behind(make_world: MakeWorld) -> None:
    world = make_world(audit={"wait_s": 0.5})
    world.put(*ids(50))
    report = world.audit()
    assert (report.status, report.tables[0].lagging, found(report)) == (AuditStatus.INCONCLUSIVE, 50, {})
    assert "at offset nothing of partition" in report.reason


def test_where_the_group_may_not_be_looked_at_time_passes_instead(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(audit={"wait_s": 0.5})
    world.put(*ids(50))
    world._bulk(world.rows)
    world.remove("7")
    monkeypatch.setattr("auditor.sink_side.SinkSide.committed", lambda _: None)
    assert found(world.audit()) == {"missing": ["7"]}


def test_offsets_of_another_topic_of_the_same_name_do_not_count(make_world: MakeWorld) -> None:
    world = make_world(audit={"wait_s": 0.5})
    world.put(*ids(50))
    world._bulk(world.rows)
    world.commit_offsets(metadata='{"format":1,"topic_id":"another","seq":"1","began_ms":1}')
    world.synced = len(world.rows)
    assert world.audit().status is AuditStatus.INCONCLUSIVE  # as if nothing were committed
    world.commit_offsets(metadata=f'{{"format":1,"topic_id":"{world.topic_id}","seq":"1","began_ms":1}}')
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


def test_an_audit_of_nothing_is_not_green(make_world: MakeWorld) -> None:
    world = make_world()
    report = world.audit()
    assert report.status is AuditStatus.INCONCLUSIVE
    assert "nothing was checked" in report.reason
    world.overwrite("x", {"text": "who wrote this?"})
    assert found(world.audit()) == {"foreign": ["x"]}
    world.remove("x")
    world.put("1")
    world.drop("1")
    world.sync()
    assert world.audit().status is AuditStatus.CLEAN  # that it is absent was checked


def test_an_empty_table_beside_others_is_not_red(make_world: MakeWorld) -> None:
    world = make_world()
    world.put("1")
    world.sync()
    make_world(table="empty")
    report = world.audit()
    assert report.status is AuditStatus.CLEAN
    assert [table.table for table in report.tables] == ["shop.empty", "shop.things"]
    assert [table.table for table in world.audit("shop.th*").tables] == ["shop.things"]
    assert world.audit("shop.empty").status is AuditStatus.INCONCLUSIVE


def test_one_unproven_table_does_not_hide_anothers_findings(make_world: MakeWorld) -> None:
    world = make_world(audit={"wait_s": 0.3})
    world.put("1", "2")
    world.sync()
    behind = make_world(table="behind", audit={"wait_s": 0.3})
    behind.put("1")
    behind.sync()
    behind.put("2")
    assert world.audit().status is AuditStatus.INCONCLUSIVE
    world.remove("2")
    report = world.audit()
    assert report.status is AuditStatus.FINDINGS
    assert found(report) == {"missing": ["2"]}


@pytest.mark.parametrize("harm", ["index", "topic", "two", "mapping", "shard"])
def test_what_cannot_be_audited_is_inconclusive(make_world: MakeWorld, harm: str) -> None:
    world = make_world(patience_s=2)
    world.put(*ids(20))
    world.sync()
    extra = f"{world.alias}.x"
    if harm == "index":
        world.es.indices.delete(index=world.index)
    if harm == "topic":
        world._admin.delete_topics([world.topic])[world.topic].result(10)
    if harm == "two":
        world.es.indices.create(index=extra, aliases={world.alias: {}})
    if harm == "mapping":
        world.es.indices.delete(index=world.index)
        world.es.indices.create(index=world.index, aliases={world.alias: {}})  # Elasticsearch will guess
        world.es.index(index=world.index, id="1", document=world.rows[0].source(world.topic_id), refresh=True)
    if harm == "shard":
        world.es.indices.delete(index=world.index)
        world.make_index(one_shard_only=True)
    try:
        report = world.audit()
        assert (report.status, found(report)) == (AuditStatus.INCONCLUSIVE, {})
        assert report.reason.startswith("shop.things: ")
    finally:
        world.es.options(ignore_status=404).indices.delete(index=extra)


@pytest.mark.parametrize("removed", [["7"], []])
def test_a_topic_that_is_made_anew_on_the_way_leaves_it_inconclusive(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, removed: list[str]
) -> None:
    world = make_world()
    world.put(*ids(20))
    world.sync()
    world.remove(*removed)
    monkeypatch.setattr("auditor.table_audit.topic_ids", lambda *_: {world.topic: "another"})
    report = world.audit()
    assert (report.status, found(report)) == (AuditStatus.INCONCLUSIVE, {})


def test_a_server_lost_on_the_way_leaves_it_inconclusive(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(patience_s=0.5)
    world.put(*ids(200))
    world.sync()
    world.remove("7")
    real = requests.Requests._once

    def failing(self: requests.Requests, call: Callable[[], Any]) -> Any:
        if self.count >= 5:
            raise UnreachableError("gone")
        return real(self, call)

    monkeypatch.setattr(requests.Requests, "_once", failing)
    report = world.audit()
    assert (report.status, found(report)) == (AuditStatus.INCONCLUSIVE, {})


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
    monkeypatch.setattr("auditor.expected.fingerprint", lambda *_: 0)
    monkeypatch.setattr(
        queries, "read_sums", lambda found: [queries.Total(bucket["doc_count"], 0) for bucket in found["buckets"]]
    )
    assert found(world.audit()) == {}
