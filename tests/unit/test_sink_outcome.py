"""The table of outcomes, line by line."""

from __future__ import annotations

import pytest
from elastic_transport import ConnectionError as TransportConnectionError
from elastic_transport import ConnectionTimeout, TlsError

from fake_elastic import FakeCluster
from sink.bulk import Bound, send
from sink.outcome import Outcome, of_item, of_request

ITEMS = [
    (200, "", Outcome.APPLIED),
    (201, "", Outcome.APPLIED),
    (404, "", Outcome.APPLIED),
    (409, "version_conflict_engine_exception", Outcome.STALE),
    (409, "something_else", Outcome.UNKNOWN),
    (429, "es_rejected_execution_exception", Outcome.RETRY),
    (429, "circuit_breaking_exception", Outcome.RETRY),
    (429, "cluster_block_exception", Outcome.RETRY),
    (403, "cluster_block_exception", Outcome.RETRY),
    (502, "x", Outcome.RETRY),
    (503, "unavailable_shards_exception", Outcome.RETRY),
    (504, "x", Outcome.RETRY),
    (500, "node_closed_exception", Outcome.RETRY),
    (400, "document_parsing_exception", Outcome.POISON),
    (400, "mapper_parsing_exception", Outcome.POISON),
    (400, "strict_dynamic_mapping_exception", Outcome.POISON),
    (400, "illegal_argument_exception", Outcome.POISON),
    (400, "index_closed_exception", Outcome.MISSING),
    (404, "index_not_found_exception", Outcome.MISSING),
    (401, "security_exception", Outcome.REFUSED),
    (403, "security_exception", Outcome.REFUSED),
    (400, "never_heard_of_exception", Outcome.UNKNOWN),
    (500, "null_pointer_exception", Outcome.UNKNOWN),
    (204, "", Outcome.UNKNOWN),
]

REQUESTS = [
    (0, "", Outcome.RETRY),
    (413, "", Outcome.TOO_LARGE),
    (429, "circuit_breaking_exception", Outcome.RETRY),
    (503, "master_not_discovered_exception", Outcome.RETRY),
    (401, "security_exception", Outcome.REFUSED),
    (403, "cluster_block_exception", Outcome.RETRY),
    (403, "", Outcome.REFUSED),
    (404, "index_not_found_exception", Outcome.MISSING),
    (400, "illegal_argument_exception", Outcome.UNKNOWN),
    (400, "document_parsing_exception", Outcome.UNKNOWN),
    (500, "", Outcome.UNKNOWN),
]


@pytest.mark.parametrize(("status", "kind", "outcome"), ITEMS)
def test_an_item(status: int, kind: str, outcome: Outcome) -> None:
    assert of_item(status, kind) is outcome


@pytest.mark.parametrize(("status", "kind", "outcome"), REQUESTS)
def test_a_request(status: int, kind: str, outcome: Outcome) -> None:
    assert of_request(status, kind) is outcome


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (TransportConnectionError("cut"), Outcome.RETRY),
        (ConnectionTimeout("slow"), Outcome.RETRY),
        (TlsError("no"), Outcome.REFUSED),
    ],
)
def test_no_answer(error: Exception, outcome: Outcome) -> None:
    cluster = FakeCluster()
    cluster.request_rule = lambda _body: error
    reply = send(cluster.client(), b"{}\n", 1)
    assert reply.failed
    assert reply.failed.outcome is outcome


def test_fewer_answers_than_items_is_unknown() -> None:
    body = b'{"delete":{"_index":"i","_id":"1","version":1}}\n'
    reply = send(FakeCluster().client(), body, 2)
    assert reply.failed
    assert reply.failed.outcome is Outcome.UNKNOWN


def test_the_bytes_are_sent_as_they_are() -> None:
    cluster = FakeCluster()
    body = b'{"index":{"_index":"i","_id":"1","version":1}}\n{"a":1.0, "b":"\\u00e9"}\n'
    assert send(cluster.client(), body, 1).answers[0].outcome is Outcome.APPLIED
    assert cluster.bodies == [body]


def test_the_bound_is_halved_and_grows_back() -> None:
    bound = Bound(16_000)
    bound.shrink(100_000)
    assert bound.bytes == 8_000
    bound.shrink(4_000)
    assert bound.bytes == 2_000
    for _ in range(20):
        bound.grow()
    assert bound.bytes == 16_000
