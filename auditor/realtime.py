"""Single documents as they are this moment, refreshed or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from elasticsearch import Elasticsearch

from auditor.doc import Doc
from auditor.page import TooLargeError
from auditor.queries import ROUTED, Query, check
from auditor.requests import Requests
from schemas.errors import PartialAnswerError
from schemas.shape import PLAIN, Shape

_COPIES = 100  # of one document, one a shard


class Realtime:
    """Gets by id from one index; `whole`: with all fields.

    `everywhere`: looks on all shards, since somebody has written with a routing of his own: one `_id` may be there
    several times, and a get sees only the document of its home shard. A routed table is always looked at like that.
    """

    def __init__(
        self,
        client: Elasticsearch,
        requests: Requests,
        index: str,
        shape: Shape = PLAIN,
        *,
        whole: bool = False,
        everywhere: bool = False,
    ) -> None:
        self.everywhere = everywhere
        self._client = client
        self._requests = requests
        self._index = index
        self._shape = shape
        self._whole = whole
        self._fields: dict[str, Any] = {} if whole else {"source_includes": ["_cdc"]}

    def get(self, ids: Sequence[str]) -> dict[str, Doc]:
        """Document id -> document, if there is one; of several the one that is `elsewhere`.

        Raises `PartialAnswerError` if one cannot be looked up, `TooLargeError` for more copies than one answer holds.
        """
        if self._shape.routed:
            return self._by_routing(ids)
        found = self._got(ids)
        return found | self._routed(ids, found) if self.everywhere else found

    def _by_routing(self, ids: Sequence[str]) -> dict[str, Doc]:
        found: dict[str, Doc] = {}
        for doc in self._searched({"ids": {"values": list(ids)}}, len(ids)):
            elsewhere = self.unexpected(doc)
            if elsewhere or doc.id not in found:
                found[doc.id] = replace(doc, elsewhere=elsewhere)
        return found

    def unexpected(self, doc: Doc) -> bool:
        """True if the sink would give it another routing, or none."""
        try:
            return doc.routing != self._shape.routing(doc.id)
        except (ValueError, TypeError, LookupError):  # somebody else's id
            return False

    def _routed(self, ids: Sequence[str], homes: Mapping[str, Doc]) -> dict[str, Doc]:
        """Copies that have a routing, which the sink gives none; on the home shard that does no harm."""
        query = {"bool": {"filter": [{"ids": {"values": list(ids)}}, ROUTED]}}
        docs = self._searched(query, len(ids))
        return {
            doc.id: replace(doc, elsewhere=True)
            for doc in docs
            if doc.id not in homes or homes[doc.id].routing != doc.routing
        }

    def _got(self, ids: Sequence[str]) -> dict[str, Doc]:
        answer = self._requests.send(
            "get", lambda: self._client.mget(index=self._index, ids=list(ids), realtime=True, **self._fields)
        )
        docs = answer["docs"]
        failed = [doc for doc in docs if "error" in doc]
        if failed or len(docs) != len(ids):
            raise PartialAnswerError(f"documents could not be looked up: {failed[:1]}", where=self._index)
        return {doc["_id"]: Doc.read(doc, whole=self._whole) for doc in docs if doc["found"]}

    def _searched(self, query: Query, count: int) -> list[Doc]:
        """All copies, on whatever shard, of `count` ids."""
        refreshed = self._requests.send("refresh", lambda: self._client.indices.refresh(index=self._index))
        if refreshed["_shards"]["failed"]:
            raise PartialAnswerError(f"a shard could not be refreshed: {refreshed['_shards']}", where=self._index)
        most = 2 * count + _COPIES
        answer = self._requests.send(
            "get",
            lambda: self._client.search(
                index=self._index, query=query, size=most, version=True,
                seq_no_primary_term=True, allow_partial_search_results=False, **self._fields,
            ),
        )  # fmt: skip
        check(answer, self._index)
        if len(answer["hits"]["hits"]) == most:
            raise TooLargeError(f"there are too many copies of {count} documents", where=self._index)
        return [Doc.read(hit, whole=self._whole) for hit in answer["hits"]["hits"]]
