"""A scripted Elasticsearch behind the real client: keeps versions as the real one does, answers as it is told."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from gzip import decompress
from typing import Any

import orjson
import urllib3.exceptions
from elastic_transport import ApiResponseMeta, BaseNode, HttpHeaders, TlsError
from elastic_transport._node import NodeApiResponse
from elasticsearch import Elasticsearch

from ops.elastic import RAW

ItemRule = Callable[[str, dict[str, Any]], tuple[int, str] | None]  # (operation, target) -> status, error type
RequestRule = Callable[[bytes], tuple[int, str] | Exception | None]
ApiRule = Callable[[str, str], tuple[int, Any] | Exception]  # method, path -> status, body; for all but bulk requests


class FakeCluster:
    """`docs`: _id -> version and document; `versions` also knows the deleted."""

    def __init__(self) -> None:
        self.docs: dict[str, tuple[int, dict[str, Any]]] = {}
        self.versions: dict[str, int] = {}
        self.requests: list[list[str]] = []
        self.bodies: list[bytes] = []
        self.item_rule: ItemRule = lambda _operation, _target: None
        self.request_rule: RequestRule = lambda _body: None
        self.spoil: Callable[[bytes], bytes] = lambda answer: answer  # what the network makes of an answer
        self.api_rule: ApiRule | None = None
        self._lock = threading.Lock()

    def bulk(self) -> Elasticsearch:
        """A client like the lanes': its answers are bytes."""
        return self.client(serializers=RAW)

    def client(self, **options: Any) -> Elasticsearch:
        cluster = self

        class Node(BaseNode):
            def perform_request(
                self, method: str, target: str, body: bytes | None = None, headers: Any = None, **_more: Any
            ) -> NodeApiResponse:
                if target.startswith("/_bulk"):
                    return cluster._answer(body or b"", self.config)
                assert cluster.api_rule, target
                ruled = cluster.api_rule(method, target.partition("?")[0])
                if isinstance(ruled, Exception):
                    raise ruled
                return _response(*ruled, self.config)

            def close(self) -> None:
                pass

        return Elasticsearch("http://fake:9200", node_class=Node, max_retries=0, **options)

    def _answer(self, body: bytes, config: Any) -> NodeApiResponse:
        with self._lock:
            ruled = self.request_rule(body)
            if isinstance(ruled, Exception):
                raise ruled
            body = decompress(body) if body.startswith(b"\x1f\x8b") else body
            if ruled is not None:
                status, kind = ruled
                return _response(status, {"error": {"type": kind, "reason": "scripted"}, "status": status}, config)
            self.bodies.append(body)
            items = self._items(body)
            errors = any("error" in result for item in items for result in item.values())
            return self._spoilt(_response(200, {"errors": errors, "items": items}, config))

    def _spoilt(self, response: NodeApiResponse) -> NodeApiResponse:
        return NodeApiResponse(response.meta, self.spoil(response.body))

    def _items(self, body: bytes) -> list[dict[str, Any]]:
        lines = iter(body.splitlines())
        found = []
        for line in lines:
            ((operation, target),) = orjson.loads(line).items()
            document = orjson.loads(next(lines)) if operation == "index" else None
            found.append({operation: self._item(operation, target, document)})
        self.requests.append([next(iter(item.values()))["_id"] for item in found])
        return found

    def _item(self, operation: str, target: dict[str, Any], document: dict[str, Any] | None) -> dict[str, Any]:
        name, version = target["_id"], target["version"]
        ruled = self.item_rule(operation, target)
        if ruled is not None:
            status, kind = ruled
            if status < 300:
                return {"_id": name, "result": kind, "status": status}
            return {"_id": name, "status": status, "error": {"type": kind, "reason": "quotes the document"}}
        if self.versions.get(name, 0) >= version:
            return {"_id": name, "status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "x"}}
        self.versions[name] = version
        if document is None:
            found = self.docs.pop(name, None)
            return {"_id": name, "result": "deleted" if found else "not_found", "status": 200 if found else 404}
        self.docs[name] = (version, document)
        return {"_id": name, "result": "created", "status": 201}


def tls_error(cause: ssl.SSLError) -> TlsError:
    """As the client tells of what `ssl` says."""
    error = TlsError(str(cause))
    error.__cause__ = urllib3.exceptions.SSLError(cause)
    return error


def _response(status: int, body: Any, config: Any) -> NodeApiResponse:
    headers = HttpHeaders({"content-type": "application/json", "x-elastic-product": "Elasticsearch"})
    meta = ApiResponseMeta(node=config, duration=0.0, http_version="1.1", status=status, headers=headers)
    return NodeApiResponse(meta, orjson.dumps(body))
