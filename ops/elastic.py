"""The Elasticsearch client from the settings, nothing else: no sniffing, no retries of its own."""

from __future__ import annotations

from typing import Any

from elastic_transport import ConnectionError as TransportConnectionError
from elastic_transport import ConnectionTimeout, TlsError
from elasticsearch import ApiError, Elasticsearch

from ops.settings import ElasticsearchSettings, existing, read_secret
from schemas.errors import RefusedError, TidemarkError, UnreachableError, UnsafeError

_AUTH = (401, 403)
_BUSY = (429, 502, 503, 504)


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


def translate(error: Exception, where: str) -> TidemarkError:
    """One of our errors for one of the client's."""
    if isinstance(error, TlsError):
        return RefusedError(
            f"TLS with Elasticsearch fails: {error}", where=where, hint="Check [elasticsearch] ca_file."
        )
    if isinstance(error, (TransportConnectionError, ConnectionTimeout)):
        return UnreachableError(f"Elasticsearch does not answer: {error.message}", where=where)
    if isinstance(error, ApiError):
        status = error.meta.status
        if status in _AUTH:
            return RefusedError(
                f"Elasticsearch refuses ({status})", where=where, hint="Check [elasticsearch] api_key_file or user."
            )
        if status in _BUSY:
            return UnreachableError(f"Elasticsearch is busy or not ready ({status})", where=where)
        return UnsafeError(f"Elasticsearch says {status}: {error.error}", where=where)
    return UnsafeError(f"unexpected: {type(error).__name__}: {error}", where=where)
