"""The line between the sink and Elasticsearch is cut, goes silent, or is slow: each record ends once, none is lost."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from certificates import certificate
from fault_proxy import FaultProxy
from runner import Pipeline, until
from schemas.errors import ExitCode
from sink_world import World, details, outcomes, ready, reason

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

SEED = 20261121
ANSWER = b'{"errors":'  # how the answer to a bulk request begins, and no other


@pytest.fixture
def line(world: World) -> Iterator[FaultProxy]:
    world.be_patient()
    url = urlsplit(world.servers.elastic.url)
    with FaultProxy(url.port or 9200, host=url.hostname or "127.0.0.1") as found:
        yield found


def through(line: FaultProxy, **more: Any) -> dict[str, Any]:
    return {"urls": [f"http://127.0.0.1:{line.port}"], **more}


def ended_once(world: World, sink: Pipeline) -> bool:
    """What went in came out: applied, found to be there, folded or refused."""
    found = outcomes(sink)
    return sum(found[name] for name in ("applied", "stale", "folded", "poison")) == world.source.produced


@pytest.mark.parametrize("how", ["end", "reset"])
def test_answers_that_are_cut(world: World, line: FaultProxy, how: Any) -> None:
    world.source.table()
    gzip = how == "reset"
    sink = world.sink(elasticsearch=through(line), sink={"gzip": gzip})
    dice, line.cut, line.up.kept = random.Random(SEED), how, bytearray()
    for number in range(1, 6):
        line.down.cut_text = ANSWER
        world.churn(dice, 60)
        until(lambda number=number: line.down.cuts == number, "an answer is cut")
    world.await_equal()
    assert "no answer ConnectionError" in sink.log("sink")
    assert outcomes(sink)["stale"] > 0
    assert ended_once(world, sink)
    assert (b"content-encoding: gzip" in line.up.kept.lower()) == gzip


def test_a_request_that_is_cut(world: World, line: FaultProxy) -> None:
    world.source.table()
    sink = world.sink(elasticsearch=through(line))
    line.up.cut_text = b"here"
    world.put(*({"id": n, "note": "cut here" if n == 700 else "x" * 500} for n in range(1000)))
    world.await_equal()
    assert line.up.cuts == 1
    assert ended_once(world, sink)


def test_applied_and_never_answered(world: World, line: FaultProxy) -> None:
    world.source.table()
    sink = world.sink(elasticsearch=through(line, request_timeout_s=5))
    line.cut, line.down.cut_text = "stall", ANSWER
    world.put(*({"id": n, "note": "x"} for n in range(100)))
    world.delete({"id": 7})
    until(lambda: "no answer ConnectionTimeout" in reason(sink), "the sink gives up waiting")
    assert world.documents()
    assert not ready(sink)
    line.stall(stalled=False)
    world.await_equal()
    until(lambda: ready(sink), "ready again")
    assert outcomes(sink)["stale"] > 0
    assert ended_once(world, sink)


def test_tls_that_breaks(world: World, tmp_path: Path) -> None:
    """Behind a balancer that ends TLS: what breaks on the way is waited for, a wrong certificate is not."""
    authority = certificate(tmp_path, "ca")
    certificate(tmp_path, "server", authority)
    certificate(tmp_path, "stranger", certificate(tmp_path, "other"))
    world.source.table()
    url = urlsplit(world.servers.elastic.url)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "server.pem", tmp_path / "server-key.pem")
    with (
        FaultProxy(url.port or 9200, host=url.hostname or "127.0.0.1", tls=tls) as balancer,
        FaultProxy(balancer.port) as line,
    ):
        where = {"urls": [f"https://127.0.0.1:{line.port}"], "ca_file": str(tmp_path / "ca.pem")}
        sink = world.sink(elasticsearch=where)
        for number, damage in enumerate(("flip_in", "cut_in")):
            setattr(line.up, damage, 5000)
            world.put(*({"id": number * 100 + n, "note": "x" * 200} for n in range(100)))
            world.await_equal()
        assert (line.up.flips, line.up.cuts) == (1, 1)
        line.down.cut_in = 10  # in the midst of the next handshake
        line.reset()
        world.put({"id": 1000, "note": "y"})
        until(lambda: "no answer TlsError" in sink.log("sink"), "a handshake ends")
        world.await_equal()
        tls.load_cert_chain(tmp_path / "stranger.pem", tmp_path / "stranger-key.pem")
        line.reset()
        world.source.publish({"id": 2000, "note": "z"})
        assert world.ended(sink) == ExitCode.UNREACHABLE
        assert "certificate" in sink.log("sink")


@pytest.mark.parametrize("for_s", [0, pytest.param(600, marks=pytest.mark.soak)])
@pytest.mark.parametrize("protocol", ["consumer", pytest.param("classic", marks=pytest.mark.soak)])
def test_an_elasticsearch_that_is_slow(world: World, line: FaultProxy, protocol: str, for_s: float) -> None:
    """3 s of latency and 50 KB/s. The member is heard of all the time, and hands over when another one comes."""
    world.source.table()
    group = {"group_protocol": protocol, "queue_bytes": "1MiB"}
    sink = world.sink(elasticsearch=through(line), sink=group)
    line.down.latency_s, line.up.bytes_per_s, line.down.bytes_per_s = 3, 50_000, 50_000
    for first in range(0, 2000, 100):
        world.put(*({"id": n, "note": random.Random(n).randbytes(600).hex()} for n in range(first, first + 100)))
    until(lambda: details(sink)["full"], "nothing more is read")
    members = world.members()
    time.sleep(for_s)  # the fault lasts
    assert details(sink)["partitions"] == 3
    assert world.members() == members
    said = sink.log("sink")
    assert (said.count("partitions assigned"), said.count("partitions l")) == (1, 0)
    other = world.sink(sink=group)
    until(lambda: details(other)["partitions"] > 0, "the slow one hands over", 180)
    line.down.latency_s = line.up.bytes_per_s = line.down.bytes_per_s = 0
    world.await_equal(timeout_s=240)
    assert "partitions lost" not in sink.log("sink")
    assert sink.stop("sink") == 0
