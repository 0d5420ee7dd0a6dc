"""An Elasticsearch of our own: without room, killed, restarted, on a full disk, with a key that is revoked."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch

import auditing as audited
from auditor.requests import Requests
from ops.settings import Settings
from runner import until
from schemas.errors import ExitCode, RefusedError
from schemas.report import AuditStatus
from schemas.table import Column, ColumnType
from servers import Elastic, Servers
from sink_load import Load
from sink_world import World, letters, outcomes, ready, reason
from small_disk import fill, mounted
from stack import files
from stack.elasticsearch import ElasticsearchServer
from stack.watcher import Watcher

pytestmark = pytest.mark.stack

SEED = 20261121
NARROW = {
    "node.processors": 1,  # threads that write
    "thread_pool.write.queue_size": 1,
    "indexing_pressure.memory.limit": "64kb",
    "http.max_content_length": "512kb",
    "rest.incremental_bulk": False,
    "resource.reload.interval.high": "500ms",  # for the files of users and roles
    "xpack.security.enabled": True,
    "xpack.security.enrollment.enabled": False,
    "xpack.security.http.ssl.enabled": False,
    "xpack.security.transport.ssl.enabled": False,
    "xpack.security.authc.anonymous.roles": "looker",  # who asks whether it is up
}
# Users of files: the distribution lacks what the index of users and keys needs. A hash without a prefix is plain text.
ROLES = """\
looker: {cluster: [monitor]}
writer: {cluster: [monitor], indices: [{names: ["*"], privileges: [all]}]}
reader: {cluster: [monitor], indices: [{names: ["*"], privileges: [read, view_index_metadata]}]}
half: {cluster: [monitor], indices: [{names: ["*.things*"], privileges: [all]}]}
"""
ROOT, SINK = ("root", "root-password"), ("sink", "sink-password")
DISK_BYTES = 96 << 20


class NarrowNode(ElasticsearchServer):
    """Accepts little at once, and knows users."""

    def prepare(self, watcher: Watcher) -> None:
        super().prepare(watcher)
        self.write("roles.yml", ROLES)
        self.write("users", "".join(f"{name}:{password}\n" for name, password in (ROOT, SINK)))
        self.grant("writer")

    def grant(self, role: str) -> None:
        """What the sink may do."""
        self.write("users_roles", f"superuser:{ROOT[0]}\n{role}:{SINK[0]}\n")

    def write(self, name: str, text: str) -> None:
        files.write(self.folder / "config" / name, text, mode=0o644)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NarrowNode]:
    folder = tmp_path_factory.mktemp("narrow")
    made = NarrowNode(folder, settings=NARROW)
    with mounted(folder / "data", DISK_BYTES):
        try:
            made.start()
            yield made
        finally:
            made.stop()


@pytest.fixture
def world(node: NarrowNode, servers: Servers, tmp_path: Path, unique: str) -> Iterator[World]:
    elastic = Elastic(url=node.url, user=ROOT[0], password=ROOT[1])
    found = World(replace(servers, elastic=elastic), tmp_path, unique)
    yield found
    found.close()


def test_requests_that_are_too_much(world: World) -> None:
    """413 and 429 for whole requests, and 429 for the items of single shards."""
    world.source.table()
    world.be_patient()
    dice = random.Random(SEED)
    for first in range(0, 1000, 200):
        world.put(*({"id": n, "note": dice.randbytes(1000).hex()} for n in range(first, first + 200)))
    world.source.publish({"id": 5000, "note": "y" * 600_000})  # no request is small enough
    world.put({"id": 1, "note": "newer"})
    sink = world.sink(sink={"shards": 4})
    refusals = ("413", "429 es_rejected_execution_exception", "items: 429 es_rejected_execution_exception")

    def refused() -> bool:
        world.churn(dice, 300)
        return outcomes(sink)["retry"] > 0 and all(said in sink.log("sink") for said in refusals)

    until(refused, "refusals of every kind", 240)
    world.await_equal(timeout_s=240)
    found = outcomes(sink)
    print(found, sink.log("sink"))
    assert found["poison"] == 1
    assert sum(found[name] for name in ("applied", "stale", "folded", "poison")) == world.source.produced
    assert sink.stop("sink") == 0


def test_the_limit_of_a_request_is_what_it_unpacks_to(world: World) -> None:
    """413 with gzip, though what goes over the line is a hundredth of it: smaller ones are sent, and one is poison."""
    world.source.table()
    world.put(*({"id": n, "note": "y" * 2_000} for n in range(400)))
    world.source.publish({"id": 5000, "note": "y" * 600_000})
    sink = world.sink(sink={"gzip": True, "lanes": 1})
    world.await_equal()
    found = outcomes(sink)
    assert (found["applied"], found["poison"]) == (400, 1)
    assert "413" in sink.log("sink")
    assert [(letter.status, letter.type) for letter in letters(world)] == [(413, "content_too_long")]
    assert sink.stop("sink") == 0


def test_a_circuit_breaker(world: World) -> None:
    world.source.table()
    setting = "network.breaker.inflight_requests.limit"
    world.client.cluster.put_settings(persistent={setting: "20kb"})
    try:
        sink = world.sink()
        world.put(*({"id": n, "note": "x" * 1000} for n in range(300)))
        world.await_equal()
        assert "429 circuit_breaking_exception" in sink.log("sink")
    finally:
        world.client.cluster.put_settings(persistent={setting: None})
    assert sink.stop("sink") == 0


def test_one_request_in_which_everything_occurs(world: World) -> None:
    columns = (Column(name="id", type=ColumnType.BIGINT), Column(name="n", type=ColumnType.BIGINT))
    world.source.table("shop.n", columns)
    world.be_patient()
    sink = world.sink(sink={"shards": 4})
    world.put({"id": 0, "n": 0}, table="shop.n")
    world.await_equal("shop.n")
    first = 0

    def everything() -> bool:
        """399 good ones, one of which is overtaken, and one that is none; True once some had to wait."""
        nonlocal first
        first += 1000
        newer = {"_cdc": {"key": str(first), "seq": world.source.seq + (1 << 40), "partition": 0}, "id": first, "n": -1}
        index = {"index": world.alias("shop.n"), "version_type": "external"}
        world.client.index(**index, id=str(first), version=newer["_cdc"]["seq"], document=newer)
        world.put(*({"id": first + n, "n": n} for n in range(399)), table="shop.n")
        world.rows["shop.n"][str(first)] = {"id": first, "n": -1}
        world.source.publish({"id": first + 500, "n": 2**63}, table="shop.n")
        world.await_equal("shop.n")
        return outcomes(sink)["retry"] > 0

    until(everything, "items that are refused for now", 240)
    found, rounds = outcomes(sink), first // 1000
    print(rounds, found)
    # What an answer that was lost had told of as applied is stale when it is sent again.
    assert found["stale"] >= rounds
    assert found["applied"] + found["stale"] == 399 * rounds + 1
    assert found["poison"] == rounds
    assert sink.stop("sink") == 0


def test_killed_in_the_middle_of_requests(world: World, node: NarrowNode) -> None:
    world.source.table()
    world.be_patient()
    sink = world.sink(sink={"max_batch_events": 50, "linger_s": 0})
    with Load(world, SEED, pause_s=0.2):
        until(lambda: outcomes(sink)["applied"] > 100, "requests")
        node.kill()
        until(lambda: reason(sink), "the sink waits")
        assert not ready(sink)
        node.start()
        until(lambda: ready(sink), "ready again", 180)
    world.await_equal()
    assert sink.log("sink").count("partitions assigned") == 1
    assert sink.stop("sink") == 0


def test_it_refuses_its_user(world: World, node: NarrowNode) -> None:
    """A privilege is taken away, then the user; what was not written is not committed."""
    world.source.table()
    world.put({"id": 1, "note": "x"})
    login = {"user": SINK[0], "password": SINK[1]}
    sink = world.sink(elasticsearch=login)
    world.await_equal()
    node.grant("reader")
    until(lambda: "writer" not in roles(node), "the role is another")
    world.put({"id": 2, "note": "y"})
    assert world.ended(sink) == ExitCode.UNREACHABLE
    assert "403 security_exception" in sink.log("sink")
    again = world.sink(ready=False, elasticsearch={"user": SINK[0], "password": "revoked"})
    assert world.ended(again) == ExitCode.UNREACHABLE
    assert "Elasticsearch refuses (401)" in again.log("sink")
    node.grant("writer")
    until(lambda: "writer" in roles(node), "the role is back")
    world.sink(elasticsearch=login)
    world.await_equal()


def roles(node: NarrowNode) -> list[str]:
    with Elasticsearch([node.url], basic_auth=SINK) as client:
        return list(client.security.authenticate()["roles"])


def test_an_audit_that_may_not_see_an_index_is_not_green(
    node: NarrowNode, make_settings: Callable[..., Settings], unique: str
) -> None:
    """Neither of the first table nor of one whose rows are all deleted, and whose left-over document nobody shows."""
    login = {"urls": [node.url], "user": SINK[0], "password": SINK[1]}
    settings = make_settings(
        f"au{unique[-6:]}", elasticsearch=login, audit={"wait_s": 5}, service={"start_timeout_s": 5}
    )
    client = Elasticsearch([node.url], basic_auth=ROOT)
    worlds = [audited.World(settings, client, table=table) for table in ("things", "unseen")]
    try:
        for world in worlds:
            world.put("1", "2")
            world.sync()
        worlds[1].drop("1", "2")
        worlds[1].sync(skip=lambda row: row.text == "2")
        assert audited.found(worlds[0].audit()) == {"orphan": ["2"]}
        for role, reason in (("half", "shop.unseen: Elasticsearch refuses (403)"), ("reader", "refuses (403)")):
            node.grant(role)
            until(lambda role=role: role in roles(node), "the role")
            report = worlds[0].audit()
            assert (report.status, audited.found(report)) == (AuditStatus.INCONCLUSIVE, {})
            assert reason in report.reason
        node.grant("nothing")
        until(lambda: "reader" not in roles(node), "the role")
        with pytest.raises(RefusedError):
            worlds[0].audit()
    finally:
        node.grant("writer")
        until(lambda: "writer" in roles(node), "the role is back")
        for world in worlds:
            world.close()
        client.close()


@pytest.mark.soak
def test_an_audit_whose_server_is_killed_goes_on_or_is_inconclusive(
    node: NarrowNode, make_settings: Callable[..., Settings], unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = {"urls": [node.url], "user": ROOT[0], "password": ROOT[1], "request_timeout_s": 5}
    settings = make_settings(
        f"au{unique[-6:]}", elasticsearch=login, audit={"wait_s": 30}, service={"start_timeout_s": 2}
    )
    client = Elasticsearch([node.url], basic_auth=ROOT, request_timeout=60)
    world = audited.World(settings, client)
    real, killed = Requests.send, []

    def killing(self: Requests, what: str, call: Callable[[], Any]) -> Any:
        answer = real(self, what, call)
        if what == "point in time" and not killed:
            killed.append(what)
            node.kill()
        return answer

    try:
        world.put(*map(str, range(50)))
        world.sync()
        world.remove("7")
        monkeypatch.setattr(Requests, "send", killing)
        report = world.audit()
        assert (report.status, audited.found(report)) == (AuditStatus.INCONCLUSIVE, {})
        node.start()
        until(lambda: audited.found(world.audit()) == {"missing": ["7"]}, "the next audit finds it", 60)
    finally:
        node.start()
        world.close()
        client.close()


@pytest.mark.soak
def test_its_disk_is_full(world: World, node: NarrowNode) -> None:
    """Items fail with 500; a node that cannot write what it has agreed to is master no more, and answers with 503."""
    world.source.table()
    sink = world.sink(elasticsearch={"request_timeout_s": 5})
    world.put({"id": 1, "note": "x"})
    world.await_equal()
    filler = fill(node.folder / "data")
    dice = random.Random(SEED)
    for first in range(0, 1000, 200):
        world.put(*({"id": n, "note": dice.randbytes(1000).hex()} for n in range(first, first + 200)))
    until(lambda: any(told in reason(sink) for told in ("500 i_o_exception", "503", "no answer")), "the sink waits")
    assert not ready(sink)
    filler.unlink()
    until(lambda: allocated(world), "the shard is there again")
    world.await_equal(timeout_s=240)
    assert not outcomes(sink)["poison"]
    assert sink.stop("sink") == 0


def allocated(world: World) -> bool:
    """It is given up after some failures, until somebody asks for it."""
    client = world.client.options(request_timeout=5)
    try:
        client.cluster.reroute(retry_failed=True, metric="none")
        return bool(client.cluster.health(index=world.alias())["status"] == "green")
    except (ApiError, TransportError):  # no master yet
        return False
