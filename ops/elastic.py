"""The Elasticsearch client from the settings, nothing else: no sniffing, no retries of its own."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

from elastic_transport import ConnectionError as TransportConnectionError
from elastic_transport import ConnectionTimeout, SerializationError, Serializer, TlsError
from elasticsearch import ApiError, Elasticsearch

from ops.settings import ElasticsearchSettings, existing, read_secret
from schemas.errors import RefusedError, TidemarkError, UnreachableError, UnsafeError

CHECK_CERTIFICATE = "Check [elasticsearch] ca_file and the host names in urls."

_AUTH = (401, 403)
_BUSY = (408, 429, 502, 503, 504)

# A node that is going down or has just come up says these with status 500, 400 or none of its own.
TRANSIENT = frozenset(
    {
        "already_closed_exception",
        "connect_transport_exception",
        "es_rejected_execution_exception",
        "i_o_exception",  # no space left on the device, for one
        "illegal_index_shard_state_exception",
        "index_shard_closed_exception",
        "index_shard_not_started_exception",
        "interrupted_exception",
        "node_closed_exception",
        "node_disconnected_exception",
        "node_not_connected_exception",
        "no_shard_available_action_exception",
        "not_master_exception",
        "primary_missing_action_exception",
        "receive_timeout_transport_exception",
        "retry_on_primary_exception",
        "shard_not_in_primary_mode_exception",
        "shard_not_found_exception",
        "task_cancelled_exception",
        "timeout_exception",
        "translog_exception",
    }
)

# Told of a point in time that a restart or its age has ended; of a block that somebody set, with status 403.
_PASSING = TRANSIENT | {"search_context_missing_exception", "cluster_block_exception"}


def client(settings: ElasticsearchSettings, **overrides: Any) -> Elasticsearch:
    """A client that leaves retries to us: its own would resend a bulk body behind the lanes' backs."""
    options: dict[str, Any] = {"request_timeout": settings.request_timeout_s, "max_retries": 0}
    if settings.ca_file:
        options["ca_certs"] = existing(settings.ca_file)
    if settings.api_key_file:
        options["api_key"] = read_secret(settings.api_key_file).strip()
    elif settings.api_key:
        options["api_key"] = settings.api_key.get_secret_value()
    elif settings.user:
        options["basic_auth"] = (settings.user, settings.secret())
    return Elasticsearch(settings.urls, **{**options, **overrides})


class _Raw(Serializer):
    """Leaves bytes as they are."""

    def loads(self, data: bytes) -> bytes:
        return data

    def dumps(self, data: Any) -> bytes:
        return bytes(data)


RAW = {"application/json": _Raw(), "application/x-ndjson": _Raw()}


def raw(settings: ElasticsearchSettings, **overrides: Any) -> Elasticsearch:
    """A client for `perform_request` whose answers, errors too, are bytes: the caller knows how much it has to read."""
    return client(settings, serializers=RAW, **overrides)


def distrusted(error: TlsError) -> bool:
    """True if the server showed a certificate that is not to be trusted.

    All else that TLS says can be a connection that broke: an end in the midst of a handshake, a byte that was damaged.
    """
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    # urllib3 keeps the error of ssl as the argument of its own. `errors` of a TlsError is emptied on its way to us.
    yield error
    for inner in (error.__cause__, *error.args):
        if isinstance(inner, BaseException):
            yield from _causes(inner)


def translate(error: Exception, where: str) -> TidemarkError:
    """One of our errors for one of the client's."""
    if isinstance(error, TlsError) and distrusted(error):
        return RefusedError(
            f"Elasticsearch's certificate is not trusted: {error.message}", where=where, hint=CHECK_CERTIFICATE
        )
    if isinstance(error, (TransportConnectionError, ConnectionTimeout, SerializationError)):
        return UnreachableError(f"Elasticsearch does not answer: {error.message}", where=where)
    if isinstance(error, ApiError):
        status = error.meta.status
        if status in _BUSY or _passes(error):
            return UnreachableError(f"Elasticsearch is busy or not ready ({status} {error.error})", where=where)
        if status in _AUTH:
            return RefusedError(
                f"Elasticsearch refuses ({status})", where=where, hint="Check [elasticsearch] api_key_file or user."
            )
        return UnsafeError(f"Elasticsearch says {status}: {error.error}", where=where)
    return UnsafeError(f"unexpected: {type(error).__name__}: {error}", where=where)


def _passes(error: ApiError) -> bool:
    """True for what waiting mends: the error itself, or every cause of a search that failed on its shards."""
    found = error.body.get("error") if isinstance(error.body, dict) else None
    if not isinstance(found, dict):
        return False
    causes = [cause.get("type") for cause in found.get("root_cause", ())]
    return found.get("type") in _PASSING or (bool(causes) and all(cause in _PASSING for cause in causes))
