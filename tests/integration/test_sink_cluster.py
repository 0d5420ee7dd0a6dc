"""Two Elasticsearch nodes of our own: one is lost, the master is lost, a disk passes its flood stage."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner import Pipeline, until
from servers import Elastic, Servers
from sink_world import World, details, outcomes, ready, reason
from small_disk import mounted
from stack.elasticsearch import ElasticsearchServer
from stack.ports import HOST, free_port

pytestmark = [pytest.mark.stack, pytest.mark.soak]

SMALL_BYTES = 96 << 20


class Node(ElasticsearchServer):
    """One of several: it is up when it speaks, whether there is a master or not."""

    def __init__(self, folder: Path, name: str, roles: list[str], masters_port: int) -> None:
        super().__init__(
            folder,
            settings={
                "discovery.type": "multi-node",
                "node.name": name,
                "node.roles": roles,
                "cluster.initial_master_nodes": ["first"],
                "discovery.seed_hosts": [f"{HOST}:{masters_port}"],
                "cluster.info.update.interval": "10s",
                "cluster.fault_detection.leader_check.interval": "200ms",
                "cluster.fault_detection.leader_check.timeout": "2s",
                "cluster.fault_detection.follower_check.timeout": "2s",
                **({"transport.port": masters_port} if name == "first" else {}),
            },
        )

    def answers(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/_nodes/_local/http")
            connection.getresponse()
            return (self.folder / "run/pid").exists()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Node]]:
    """The first has the master and its own data, the second data alone, on a small disk."""
    folder, port = tmp_path_factory.mktemp("cluster"), free_port(())
    first = Node(folder / "first", "first", ["master", "data"], port)
    second = Node(folder / "second", "second", ["data"], port)
    with mounted(folder / "second/data", SMALL_BYTES):
        try:
            first.start()
            second.start()
            yield first, second
        finally:
            second.stop()
            first.stop()


@pytest.fixture
def make_world(
    nodes: tuple[Node, Node], servers: Servers, tmp_path: Path, unique: str
) -> Iterator[Callable[[Node], World]]:
    """A world that asks and writes through one node; `shop.orders` is on the second, `shop.other` on the first."""
    made: list[World] = []

    def make(node: Node) -> World:
        world = World(replace(servers, elastic=Elastic(url=node.url)), tmp_path, unique)
        made.append(world)
        until(lambda: together(world), "both nodes")
        for table, name in PLACES.items():
            world.source.table(table)
            place(world, table, name)
        return world

    yield make
    for node in nodes:
        node.start()
    for world in made:
        until(lambda world=world: together(world), "both nodes again")
        world.close()


PLACES = {"shop.orders": "second", "shop.other": "first"}


def together(world: World) -> bool:
    client = world.client.options(ignore_status=(408, 503))
    return bool(client.cluster.health(timeout="1s").get("number_of_nodes") == len(PLACES))


def place(world: World, table: str, name: str) -> None:
    """Indices of a table are made on that node."""
    world.client.indices.put_index_template(
        name=world.alias(table),
        index_patterns=[f"{world.alias(table)}.*"],
        template={"settings": {"index.routing.allocation.require._name": name}},
    )


def begun(world: World) -> Pipeline:
    """A sink that has written to both."""
    sink = world.sink(sink={"replicas": 0, "shards": 1}, elasticsearch={"request_timeout_s": 20})
    for table in PLACES:
        world.put(*({"id": n, "note": "x"} for n in range(20)), table=table)
        world.await_equal(table)
    return sink


def written(world: World) -> None:
    """More for both, deletes too."""
    for table in PLACES:
        world.put(*({"id": n, "note": "y"} for n in range(40)), table=table)
        world.delete({"id": 1}, table=table)


def well_again(world: World, sink: Pipeline) -> None:
    """Nothing is lost, and nothing of it is left."""
    for table in PLACES:
        world.await_equal(table)
    until(lambda: ready(sink), "ready again")
    until(lambda: not details(sink)["set_aside"], "nothing is set aside")
    assert not outcomes(sink)["poison"]
    assert sink.log("sink").count("partitions assigned") == 1
    assert sink.stop("sink") == 0


def test_a_primary_that_is_missing_holds_no_other_table(
    nodes: tuple[Node, Node], make_world: Callable[[Node], World]
) -> None:
    world = make_world(nodes[0])
    sink = begun(world)
    nodes[1].kill()
    written(world)
    until(lambda: "items: 503 unavailable_shards_exception" in reason(sink), "the shard is missed")
    assert not ready(sink)
    world.await_equal("shop.other")
    until(lambda: details(sink)["set_aside"] == [world.alias()], "it is set aside")
    assert world.committed() != world.ends()
    nodes[1].start()
    well_again(world, sink)


def test_without_a_master_everything_waits(nodes: tuple[Node, Node], make_world: Callable[[Node], World]) -> None:
    """It is lost, then the other node comes up without it, and knows of no index at all."""
    world = make_world(nodes[1])
    sink = begun(world)
    nodes[0].kill()
    written(world)
    until(lambda: "503" in reason(sink), "the master is missed")
    assert not ready(sink)
    print(reason(sink))
    nodes[1].kill()
    until(lambda: "no answer" in reason(sink), "nobody is there")
    nodes[1].start()
    written(world)
    until(lambda: "503" in reason(sink), "the master is missed again")
    print(reason(sink))
    nodes[0].start()
    well_again(world, sink)


def test_a_disk_past_its_flood_stage_holds_no_other_table(
    nodes: tuple[Node, Node], make_world: Callable[[Node], World]
) -> None:
    world = make_world(nodes[0])
    sink = begun(world)
    world.client.cluster.put_settings(persistent=watermarks(low="200mb", high="150mb", flood_stage="120mb"))
    try:
        settings = world.client.indices.get_settings
        block = "*.settings.index.blocks.read_only_allow_delete"
        until(lambda: settings(index=world.alias(), filter_path=block).body, "the disk is seen to be full")
        written(world)
        until(lambda: "items: 429 cluster_block_exception" in reason(sink), "the block is told")
        assert not ready(sink)
        world.await_equal("shop.other")
        until(lambda: details(sink)["set_aside"] == [world.alias()], "it is set aside")
        world.client.cluster.put_settings(persistent=watermarks(low="3mb", high="2mb", flood_stage="1mb"))
        well_again(world, sink)
    finally:
        world.client.cluster.put_settings(persistent=dict.fromkeys(watermarks(low="", high="", flood_stage="")))


def watermarks(**least: str) -> dict[str, object]:
    """How much room a disk has to have."""
    disk = "cluster.routing.allocation.disk"
    return {f"{disk}.threshold_enabled": True, **{f"{disk}.watermark.{name}": size for name, size in least.items()}}
