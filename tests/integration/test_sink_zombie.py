"""Late requests and late sinks: nothing brings a deleted document back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fault_proxy import FaultProxy
from runner import Pipeline, until
from schemas.table import Column, ColumnType
from servers import Elastic, Servers
from sink.definition import GC_DELETES
from sink_cli import sink_command
from sink_world import World, letters, ready
from stack.elasticsearch import ElasticsearchServer

pytestmark = pytest.mark.stack


def frozen_with_a_request_pending(world: World, proxy: FaultProxy) -> Pipeline:
    """A sink that had sent a newer version of document 1 when it was frozen; the proxy has it still."""
    world.source.partitions = 1
    world.source.table()
    world.put({"id": 1, "note": "first"})
    sink = world.sink(elasticsearch={"urls": [f"http://127.0.0.1:{proxy.port}"]})
    world.await_equal()
    proxy.up.stalled, proxy.up.kept, proxy.up.arrived = True, bytearray(), bytearray()
    world.put({"id": 1, "note": "late"})
    until(lambda: b'"late"' in bytes(proxy.up.arrived or b""), "the request is on its way")
    sink.running("sink").process.send_signal(signal.SIGSTOP)
    return sink


def deletes_kept(world: World, wanted: str | None = None) -> str:
    name, index = "index.gc_deletes", f"{world.alias()}.000001"
    if wanted is not None:
        world.client.indices.put_settings(index=index, settings={name: wanted})
    found = world.client.indices.get_settings(index=index, name=name, flat_settings=True)
    return str(found[index]["settings"][name])


def test_a_request_that_lands_after_the_delete(world: World) -> None:
    """The index remembers deletes for longer than a request can live; a sink that starts sees to that."""
    with FaultProxy(urlsplit(world.servers.elastic.url).port or 0) as proxy:
        zombie = frozen_with_a_request_pending(world, proxy)
        assert deletes_kept(world) == GC_DELETES
        deletes_kept(world, "1ms")
        heir = world.sink()
        assert deletes_kept(world) == GC_DELETES
        world.await_equal()
        world.delete({"id": 1})
        world.await_equal()
        proxy.up.stalled = False
        until(lambda: b'"late"' in bytes(proxy.up.kept or b""), "the request lands")
        zombie.running("sink").process.send_signal(signal.SIGCONT)
        until(lambda: ready(zombie), "it has come back")
        assert zombie.stop("sink") == 0
        world.await_equal()
        assert not world.documents()
        assert heir.stop("sink") == 0


def test_a_sink_that_lost_its_partitions_sends_nothing_when_it_wakes_up(world: World) -> None:
    """An index that moves or comes up again has forgotten its deletes: the sink itself must know better."""
    with FaultProxy(urlsplit(world.servers.elastic.url).port or 0) as proxy:
        zombie = frozen_with_a_request_pending(world, proxy)
        heir = world.sink()
        world.await_equal()
        world.delete({"id": 1})
        world.await_equal()
        deletes_kept(world, "1ms")
        proxy.reset()  # what was on its way is lost, and asked for again
        proxy.up.stalled, proxy.up.kept = False, bytearray()
        world.put({"id": 2, "note": "other"})  # a refresh is when an index forgets
        world.await_equal()
        zombie.running("sink").process.send_signal(signal.SIGCONT)
        until(lambda: ready(zombie), "it has come back")
        assert zombie.stop("sink") == 0
        assert b'"late"' not in bytes(proxy.up.kept or b"")
        world.await_equal()
        assert heir.stop("sink") == 0


@pytest.mark.soak
def test_a_sink_that_lost_its_partitions_buries_no_letter_when_it_wakes_up(world: World) -> None:
    """It was frozen with a refused row on its way; its heir has written a newer letter of that row meanwhile."""
    with FaultProxy(urlsplit(world.servers.elastic.url).port or 0) as proxy:
        world.source.partitions = 1
        world.source.table(
            "shop.n", (Column(name="id", type=ColumnType.BIGINT), Column(name="n", type=ColumnType.BIGINT))
        )
        zombie = world.sink(elasticsearch={"urls": [f"http://127.0.0.1:{proxy.port}"]})
        world.put({"id": 1, "n": 1}, table="shop.n")
        world.await_equal("shop.n")
        proxy.down.stalled, proxy.down.arrived = True, bytearray()
        world.source.publish({"id": 1, "n": 2**63}, table="shop.n")
        until(lambda: b"document_parsing_exception" in bytes(proxy.down.arrived or b""), "the answer is on its way")
        zombie.running("sink").process.send_signal(signal.SIGSTOP)
        heir = world.sink()
        world.await_committed("shop.n")
        world.source.publish({"id": 1, "n": 2**63 + 1}, table="shop.n")
        world.await_committed("shop.n")
        proxy.down.stalled = False
        zombie.running("sink").process.send_signal(signal.SIGCONT)
        until(lambda: ready(zombie), "it has come back")
        assert zombie.stop("sink") == 0
        assert [letter.seq for letter in letters(world)][-1] == world.source.seq
        assert heir.stop("sink") == 0


@pytest.fixture
def restartable(servers: Servers, tmp_path: Path, unique: str) -> Iterator[tuple[World, ElasticsearchServer]]:
    server = ElasticsearchServer(tmp_path / "elasticsearch")
    server.start()
    world = World(replace(servers, elastic=Elastic(url=server.url)), tmp_path, unique)
    yield world, server
    world.close()
    server.stop()


@pytest.mark.soak
def test_an_older_event_is_read_again_after_elasticsearch_was_killed(
    restartable: tuple[World, ElasticsearchServer],
) -> None:
    """The index takes it, since it has forgotten the delete; the delete is read again too."""
    world, server = restartable
    world.source.table()
    slow = {"max_batch_events": 1}
    world.put({"id": 1, "note": "x"}, {"id": 2, "note": "x"})
    world.delete({"id": 1})
    sink = world.sink(sink=slow)
    world.await_equal()
    assert sink.stop("sink") == 0
    world.pipeline = None
    world.client.indices.flush(index=world.alias(), force=True)
    server.kill()
    server.start()
    sink_command(sink, "rewind", "--to-offset", "0", "--apply")
    again = world.sink(sink=slow)
    world.await_equal()
    assert set(world.documents()) == {"2"}
    index = world.client.indices.stats(index=world.alias())["_all"]["primaries"]["indexing"]
    assert index["index_total"] == 1  # the deleted one was taken, and deleted again
    assert index["delete_total"] >= 1
    assert again.stop("sink") == 0
