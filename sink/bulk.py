"""One bulk request: bytes out, one answer an item back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from gzip import compress
from typing import Any, NamedTuple

import orjson
from elastic_transport import ApiResponse, ConnectionTimeout, SerializationError, TlsError
from elastic_transport import ConnectionError as TransportConnectionError
from elasticsearch import ApiError, Elasticsearch

from ops import metrics
from ops.elastic import distrusted
from sink.outcome import NO_ANSWER, Outcome, of_item, of_request

# What tells applied from everything else, and little more: it is sent for every item.
_ONLY = "errors,items.*.status,items.*.result,items.*.error.type,items.*.error.reason,items.*.error.caused_by"
CERTIFICATE = "certificate not trusted"
# How long a shard that is not there may keep the others of a request waiting; a minute if nothing is said.
_SHARD_WAIT = "5s"
_DROPPED = "noop"  # an ingest pipeline that somebody put before the index has dropped the document


class Answer(NamedTuple):
    """How one item ended. `reason` is Elasticsearch's text; it can quote the document and is never logged."""

    outcome: Outcome
    status: int
    type: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A request's end: `applied` if every item was, else `answers` in the order of the items, or `failed` for all.

    `took_s`: how long it took.
    """

    applied: bool = False
    answers: Sequence[Answer] = ()
    failed: Answer | None = None
    took_s: float = 0.0


def send(client: Elasticsearch, body: bytes, items: int, *, gzip: bool = False) -> Reply:
    """Send `items` items. Never raises for what a server or a network can do.

    With a client whose answers are raw bytes (`ops.elastic.raw`) what is all applied is not even parsed.
    """
    began = time.perf_counter()
    reply = _answered(client, body, items, gzip=gzip)
    took_s = time.perf_counter() - began
    metrics.SINK_BULK.observe(took_s)
    return replace(reply, took_s=took_s)


def _answered(client: Elasticsearch, body: bytes, items: int, *, gzip: bool) -> Reply:
    try:
        response = _post(client, body, gzip=gzip)
    except TlsError as error:
        if distrusted(error):
            return _failure(Outcome.REFUSED, NO_ANSWER, CERTIFICATE, error.message)
        return _failure(Outcome.RETRY, NO_ANSWER, type(error).__name__, error.message)
    except (TransportConnectionError, ConnectionTimeout, SerializationError) as error:
        return _failure(of_request(NO_ANSWER, ""), NO_ANSWER, type(error).__name__, error.message)
    except ApiError as error:
        kind, reason = error_of(parsed(error.body))
        return _failure(of_request(error.meta.status, kind), error.meta.status, kind, reason)
    return _read(response, items)


def _read(response: ApiResponse[Any], items: int) -> Reply:
    raw = response.body
    if isinstance(raw, bytes) and all_applied(raw, items):
        return Reply(applied=True)
    found = parsed(raw)
    if found is None:  # cut on its way, in a manner that HTTP does not show
        return _failure(of_request(NO_ANSWER, ""), NO_ANSWER, "no_json", "")
    answers = found.get("items", ()) if isinstance(found, dict) else ()
    if len(answers) != items:
        return _failure(
            Outcome.UNKNOWN, response.meta.status, "item_count", f"{len(answers)} answers for {items} items"
        )
    return Reply(answers=[_answer(item) for item in answers])


def _post(client: Elasticsearch, body: bytes, *, gzip: bool) -> ApiResponse[Any]:
    headers = {"accept": "application/json", "content-type": "application/x-ndjson"}
    if gzip:
        # The least effort: most of what can be saved, at a fraction of what the client's own compression costs.
        body, headers["content-encoding"] = compress(body, 1), "gzip"
    params = {"filter_path": _ONLY, "require_alias": "true", "timeout": _SHARD_WAIT}
    return client.perform_request("POST", "/_bulk", params=params, headers=headers, body=body)


def all_applied(raw: bytes, items: int) -> bool:
    """True if the answer says of exactly so many items that they were applied; false also if a closer look is needed.

    Without errors an answer holds no text but Elasticsearch's own words, so that words can be counted. A document
    that an ingest pipeline drops has status 200 too.
    """
    if not raw.startswith(b'{"errors":false,') or raw.count(b'"status":') != items:
        return False
    return raw.count(b'"status":20') + raw.count(b'"status":404') == items and _DROPPED.encode() not in raw


def parsed(body: Any) -> Any:
    """An answer's JSON; None for what is none, a proxy's page for instance."""
    if not isinstance(body, bytes):
        return body
    try:
        return orjson.loads(body)
    except ValueError:
        return None


def error_of(body: Any) -> tuple[str, str]:
    """Type and reason of an error body; a proxy's page has neither."""
    error = body.get("error", {}) if isinstance(body, dict) else {}
    if isinstance(error, str):
        return "", error
    return error.get("type") or "", error.get("reason") or ""


def _failure(outcome: Outcome, status: int, kind: str, reason: str) -> Reply:
    return Reply(failed=Answer(outcome, status, kind, reason))


def _answer(item: dict[str, Any]) -> Answer:
    ((_, result),) = item.items()
    status, error = result["status"], result.get("error")
    if error is None:
        if result.get("result") == _DROPPED:
            return Answer(Outcome.UNKNOWN, status, _DROPPED)
        return Answer(of_item(status, ""), status)
    cause = error.get("caused_by") or {}
    reason = f"{error.get('reason')}: {cause.get('reason')}" if cause else str(error.get("reason"))
    return Answer(of_item(status, error["type"]), status, error["type"], reason)
