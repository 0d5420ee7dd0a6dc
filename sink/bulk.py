"""One bulk request: bytes out, one answer an item back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from elastic_transport import ConnectionError as TransportConnectionError
from elastic_transport import ConnectionTimeout, SerializationError, TlsError
from elasticsearch import ApiError, Elasticsearch

from ops import metrics
from sink.outcome import NO_ANSWER, Outcome, of_item, of_request

_LEAST_BYTES = 1024
_ONLY = "items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by"


class Answer(NamedTuple):
    """How one item ended. `reason` is Elasticsearch's text; it can quote the document and is never logged."""

    outcome: Outcome
    status: int
    type: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A request's end: `answers` in the order of the items, or `failed` for all of them at once."""

    answers: Sequence[Answer] = ()
    failed: Answer | None = None


def send(client: Elasticsearch, body: bytes, items: int) -> Reply:
    """Send `items` items. Never raises for what a server or a network can do."""
    began = time.perf_counter()
    try:
        response = client.bulk(operations=cast("Any", body), require_alias=True, filter_path=_ONLY)
    except TlsError as error:
        return _failure(Outcome.REFUSED, NO_ANSWER, "tls", str(error))
    except (TransportConnectionError, ConnectionTimeout, SerializationError) as error:
        return _failure(of_request(NO_ANSWER, ""), NO_ANSWER, type(error).__name__, error.message)
    except ApiError as error:
        kind, reason = error_of(error.body)
        return _failure(of_request(error.meta.status, kind), error.meta.status, kind, reason)
    finally:
        metrics.SINK_BULK.observe(time.perf_counter() - began)
    found = response.body.get("items", ()) if isinstance(response.body, dict) else ()
    if len(found) != items:
        return _failure(Outcome.UNKNOWN, response.meta.status, "item_count", f"{len(found)} answers for {items} items")
    return Reply(answers=[_answer(item) for item in found])


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
        return Answer(of_item(status, ""), status)
    cause = error.get("caused_by") or {}
    reason = f"{error.get('reason')}: {cause.get('reason')}" if cause else str(error.get("reason"))
    return Answer(of_item(status, error["type"]), status, error["type"], reason)


class Bound:
    """How many bytes a request may hold: halved when the cluster is overrun, grown back by sixteenths."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self.bytes = most_bytes

    def shrink(self, sent_bytes: int) -> None:
        """A request of this size was too much."""
        self.bytes = max(_LEAST_BYTES, min(self.bytes, sent_bytes) // 2)

    def grow(self) -> None:
        self.bytes = min(self._most, self.bytes + self._most // 16)
