"""The table of outcomes, line by line."""

from __future__ import annotations

import ssl

import pytest
from elastic_transport import ConnectionError as TransportConnectionError
from elastic_transport import ConnectionTimeout

from fake_elastic import FakeCluster, tls_error
from sink.bulk import all_applied, send
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
    (500, "i_o_exception", Outcome.RETRY),
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
        (tls_error(ssl.SSLEOFError(8, "EOF occurred in violation of protocol")), Outcome.RETRY),
        (tls_error(ssl.SSLError(1, "DECRYPTION_FAILED_OR_BAD_RECORD_MAC")), Outcome.RETRY),
        (tls_error(ssl.SSLCertVerificationError(1, "no")), Outcome.REFUSED),
    ],
)
def test_no_answer(error: Exception, outcome: Outcome) -> None:
    cluster = FakeCluster()
    cluster.request_rule = lambda _body: error
    reply = send(cluster.bulk(), b"{}\n", 1)
    assert reply.failed
    assert reply.failed.outcome is outcome


def test_fewer_answers_than_items_is_unknown() -> None:
    body = b'{"delete":{"_index":"i","_id":"1","version":1}}\n'
    reply = send(FakeCluster().bulk(), body, 2)
    assert reply.failed
    assert reply.failed.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("raw", [b"", b'{"errors":false,"items":[{"ind', b"<html>"])
def test_an_answer_that_was_cut_is_none(raw: bytes) -> None:
    cluster = FakeCluster()
    cluster.spoil = lambda _answer: raw
    reply = send(cluster.bulk(), b'{"delete":{"_index":"i","_id":"1","version":1}}\n', 1)
    assert reply.failed
    assert reply.failed.outcome is Outcome.RETRY


def test_the_bytes_are_sent_as_they_are() -> None:
    cluster = FakeCluster()
    body = b'{"index":{"_index":"i","_id":"1","version":1}}\n{"a":1.0, "b":"\\u00e9"}\n'
    assert send(cluster.bulk(), body, 1).applied
    assert cluster.bodies == [body]


def test_a_client_that_parses_its_answers_does_too() -> None:
    body = b'{"index":{"_index":"i","_id":"1","version":1}}\n{"a":1}\n'
    assert send(FakeCluster().client(), body, 1).answers[0].outcome is Outcome.APPLIED


def test_compressed_it_is_the_same() -> None:
    cluster = FakeCluster()
    cluster.request_rule = lambda body: (400, "not_compressed") if not body.startswith(b"\x1f\x8b") else None
    body = b'{"delete":{"_index":"i","_id":"1","version":1}}\n'
    assert send(cluster.bulk(), body, 1, gzip=True).applied
    assert cluster.bodies == [body]


def answer(*items: str, errors: str = "false") -> bytes:
    return f'{{"errors":{errors},"items":[{",".join(items)}]}}'.encode()


CREATED = '{"index":{"result":"created","status":201}}'


@pytest.mark.parametrize(
    ("raw", "items", "applied"),
    [
        (answer(CREATED), 1, True),
        (answer(CREATED, '{"delete":{"result":"not_found","status":404}}'), 2, True),
        (answer('{"index":{"result":"updated","status":200}}', CREATED), 2, True),
        (answer(CREATED), 2, False),
        (answer(CREATED, CREATED), 1, False),
        (answer(), 0, True),
        (answer(CREATED, errors="true"), 1, False),
        (answer(CREATED, '{"index":{"result":"noop","status":200}}'), 2, False),
        (answer('{"index":{"result":"x","status":202}}'), 1, True),
        (answer('{"index":{"result":"x","status":429}}'), 1, False),
        (answer(CREATED, '{"index":{"status":503,"error":{"type":"\\"status\\":201"}}}'), 2, False),
        (b"{}", 0, False),
        (b"", 0, False),
    ],
)
def test_an_answer_that_needs_no_closer_look(raw: bytes, items: int, applied: bool) -> None:
    assert all_applied(raw, items) is applied


def test_a_document_that_a_pipeline_dropped_is_not_applied() -> None:
    cluster = FakeCluster()
    cluster.item_rule = lambda _op, target: (200, "noop") if target["_id"] == "2" else None
    body = b"".join(b'{"delete":{"_index":"i","_id":"%d","version":1}}\n' % n for n in range(3))
    outcomes = [found.outcome for found in send(cluster.bulk(), body, 3).answers]
    assert outcomes == [Outcome.APPLIED, Outcome.APPLIED, Outcome.UNKNOWN]
