"""Elasticsearch's errors as ours: which of them waiting mends."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from elastic_transport import SerializationError
from elasticsearch import ApiError

from fake_elastic import FakeCluster, tls_error
from ops.elastic import translate
from schemas.errors import RefusedError, TidemarkError, UnreachableError, UnsafeError


def failure(kind: str, *causes: str) -> dict[str, Any]:
    return {"error": {"type": kind, "reason": "scripted", "root_cause": [{"type": cause} for cause in causes]}}


def translated(status: int, body: Any) -> TidemarkError:
    cluster = FakeCluster()
    cluster.api_rule = lambda _method, _path: (status, body)
    with pytest.raises(ApiError) as caught:
        cluster.client().indices.refresh(index="i")
    return translate(caught.value, "here")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (408, {}, UnreachableError),
        (429, {}, UnreachableError),
        (503, failure("master_not_discovered_exception"), UnreachableError),
        (500, failure("node_closed_exception"), UnreachableError),
        (500, failure("search_phase_execution_exception", "node_disconnected_exception"), UnreachableError),
        (404, failure("search_phase_execution_exception", "search_context_missing_exception"), UnreachableError),
        (403, failure("cluster_block_exception"), UnreachableError),
        (403, failure("security_exception"), RefusedError),
        (401, {}, RefusedError),
        (500, failure("search_phase_execution_exception", "node_closed_exception", "parse_exception"), UnsafeError),
        (500, failure("null_pointer_exception"), UnsafeError),
        (400, {"error": "a text"}, UnsafeError),
        (404, failure("index_not_found_exception", "index_not_found_exception"), UnsafeError),
    ],
)
def test_an_answer(status: int, body: Any, error: type[TidemarkError]) -> None:
    assert type(translated(status, body)) is error


def test_an_answer_that_was_cut() -> None:
    assert translate(SerializationError("half a body"), "here").retryable


def test_tls_that_broke_is_a_lost_connection_and_a_wrong_certificate_is_not() -> None:
    cut = tls_error(ssl.SSLEOFError(8, "EOF occurred in violation of protocol"))
    assert type(translate(cut, "here")) is UnreachableError
    wrong = tls_error(ssl.SSLCertVerificationError(1, "self-signed certificate"))
    assert type(translate(wrong, "here")) is RefusedError
