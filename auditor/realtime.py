"""Single documents as they are this moment, refreshed or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elasticsearch import Elasticsearch

from auditor.doc import Doc
from auditor.queries import check
from auditor.requests import Requests
from schemas.errors import PartialAnswerError
from schemas.shape import PLAIN, Shape


class Realtime:
    """Gets by id from one index; `whole`: with all fields."""

    def __init__(
        self, client: Elasticsearch, requests: Requests, index: str, shape: Shape = PLAIN, *, whole: bool = False
    ) -> None:
        self._client = client
        self._requests = requests
        self._index = index
        self._shape = shape
        self._whole = whole
        self._fields: dict[str, Any] = {} if whole else {"source_includes": ["_cdc"]}

    def get(self, ids: Sequence[str]) -> dict[str, Doc]:
        """Document id -> document, if there is one. Raises `PartialAnswerError` if one cannot be looked up."""
        if self._shape.routed:
            return self._searched(ids)
        answer = self._requests.send(
            "get", lambda: self._client.mget(index=self._index, ids=list(ids), realtime=True, **self._fields)
        )
        docs = answer["docs"]
        failed = [doc for doc in docs if "error" in doc]
        if failed or len(docs) != len(ids):
            raise PartialAnswerError(f"documents could not be looked up: {failed[:1]}", where=self._index)
        return {doc["_id"]: Doc.read(doc, whole=self._whole) for doc in docs if doc["found"]}

    def _searched(self, ids: Sequence[str]) -> dict[str, Doc]:
        """A get finds a document only on the shard where it should be, and somebody else may have put it elsewhere."""
        refreshed = self._requests.send("refresh", lambda: self._client.indices.refresh(index=self._index))
        if refreshed["_shards"]["failed"]:
            raise PartialAnswerError(f"a shard could not be refreshed: {refreshed['_shards']}", where=self._index)
        answer = self._requests.send(
            "get",
            lambda: self._client.search(
                index=self._index, query={"ids": {"values": list(ids)}}, size=2 * len(ids), version=True,
                seq_no_primary_term=True, allow_partial_search_results=False, **self._fields,
            ),
        )  # fmt: skip
        check(answer, self._index)
        return {hit["_id"]: Doc.read(hit, whole=self._whole) for hit in answer["hits"]["hits"]}
