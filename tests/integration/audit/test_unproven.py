"""An audit that checked nothing, or could not finish, is not green."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from confluent_kafka.admin import NewPartitions

from auditing import World, found, ids
from auditor import requests
from auditor.repair import repair
from auditor.run_context import Context
from fault_proxy import FaultProxy
from ops.kafka import metadata, topic_ids
from runner import until
from schemas.errors import ReportOutdatedError, UnreachableError
from schemas.report import AuditStatus
from servers import Elastic

pytestmark = pytest.mark.stack

MakeWorld = Callable[..., World]


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
    world = make_world(patience_s=4 if harm == "shard" else 10)  # a shard that is not there is waited for
    world.put(*ids(20))
    world.sync()
    extra = f"{world.alias}.x"
    if harm == "index":
        world.es.indices.delete(index=world.index)
    if harm == "topic":
        world._admin.delete_topics([world.topic])[world.topic].result(60)
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
    real, made = requests.Requests.send, []

    def making(self: requests.Requests, what: str, call: Callable[[], Any]) -> Any:
        answer = real(self, what, call)
        if what == "search" and not made:  # the topic's ends are known by then
            made.append(anew(world))
        return answer

    monkeypatch.setattr(requests.Requests, "send", making)
    report = world.audit()
    assert (report.status, found(report)) == (AuditStatus.INCONCLUSIVE, {})
    assert "was deleted or made anew during the audit" in report.reason
    assert made != [world.topic_id]


def anew(world: World) -> str:
    """The topic's new id: it is deleted, and made once more under the same name."""
    world._admin.delete_topics([world.topic])[world.topic].result(15)
    until(lambda: world.topic not in topic_ids(world._admin, [world.topic], ""), "the topic is gone")
    world._make_topic(world.topic, world.partitions, {"cleanup.policy": "compact"})
    return topic_ids(world._admin, [world.topic], "")[world.topic]


def proxied(world: World, proxy: FaultProxy) -> World:
    """The same world, whose audits reach Elasticsearch through a proxy."""
    urls = [f"http://127.0.0.1:{proxy.port}"]
    reach = world.settings.elasticsearch.model_copy(update={"urls": urls})
    world.settings = world.settings.model_copy(update={"elasticsearch": reach})
    return world


def test_connections_that_break_on_the_way_are_made_again(
    make_world: MakeWorld, elastic: Elastic, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = urlsplit(elastic.url)
    with FaultProxy(place.port or 9200, host=place.hostname or "") as proxy:
        world = proxied(make_world(), proxy)
        world.put(*ids(200))
        world.sync()
        world.remove("7")
        real, cuts = requests.Requests.send, []

        def cutting(self: requests.Requests, what: str, call: Callable[[], Any]) -> Any:
            if what in ("search", "get") and len(cuts) < 4:
                cuts.append(what)
                proxy.down.cut_in = (20, 200)[len(cuts) % 2]  # bytes of the answer: amidst its headers, or after them
            return real(self, what, call)

        monkeypatch.setattr(requests.Requests, "send", cutting)
        report = world.audit()
        assert (report.reason, found(report)) == ("", {"missing": ["7"]})
        assert set(cuts) == {"search", "get"}
        assert proxy.down.cuts == len(cuts)


def test_an_alias_that_is_swapped_on_the_way_leaves_it_inconclusive(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    world.put(*ids(20))
    world.sync()
    world.remove("7")
    other = f"{world.alias}.000002"
    real = requests.Requests.send

    def swapping(self: requests.Requests, what: str, call: Callable[[], Any]) -> Any:
        answer = real(self, what, call)
        if what == "point in time":
            world.es.indices.create(index=other, mappings=world.mappings())
            move = [{"remove": {"index": world.index, "alias": world.alias}},
                    {"add": {"index": other, "alias": world.alias}}]  # fmt: skip
            world.es.indices.update_aliases(actions=move)
        return answer

    monkeypatch.setattr(requests.Requests, "send", swapping)
    try:
        report = world.audit()
        assert (report.status, found(report)) == (AuditStatus.INCONCLUSIVE, {})
        assert f"leads to {other} now" in report.reason
    finally:
        world.es.indices.delete(index=other)


def test_findings_about_an_index_that_is_gone_are_not_told(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditor.table_audit.CHUNK", 5)
    world = make_world()
    world.put(*ids(20))
    world.sync()
    world.remove(*ids(10))
    real, gets = requests.Requests.send, []

    def swapping(self: requests.Requests, what: str, call: Callable[[], Any]) -> Any:
        answer = real(self, what, call)
        gets.extend([what] if what == "get" else [])
        if len(gets) == 3 and world.es.indices.exists(index=world.index):  # the first five are found for good
            world.es.indices.delete(index=world.index)
        return answer

    monkeypatch.setattr(requests.Requests, "send", swapping)
    report = world.audit()
    assert (report.status, found(report)) == (AuditStatus.INCONCLUSIVE, {})
    assert "leads to nothing now" in report.reason


def test_partitions_that_are_added_on_the_way_leave_it_inconclusive(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    world.put(*ids(20))
    world.sync()
    world.remove("7")
    before = world.audit()
    real = requests.Requests.send

    def adding(self: requests.Requests, what: str, call: Callable[[], Any]) -> Any:
        answer = real(self, what, call)
        if what == "point in time":
            world._admin.create_partitions([NewPartitions(world.topic, 4)])[world.topic].result(60)
            until(lambda: len(metadata(world._admin, world.topic, "").partitions) == 4, "the new partition")
        return answer

    monkeypatch.setattr(requests.Requests, "send", adding)
    report = world.audit()
    assert (report.status, found(report)) == (AuditStatus.INCONCLUSIVE, {})
    assert "had 3 partitions when the audit began, and has 4 now" in report.reason
    monkeypatch.setattr(requests.Requests, "send", real)
    with pytest.raises(ReportOutdatedError, match="other partitions"):
        repair(Context(settings=world.settings), before, apply=True)


def test_a_server_lost_on_the_way_leaves_it_inconclusive(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(patience_s=3)
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
