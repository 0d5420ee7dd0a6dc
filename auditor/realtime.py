"""Single documents as they are this moment, refreshed or not."""

from __future__ import annotations

from collections.abc import Sequence

from elasticsearch import Elasticsearch

from auditor.doc import Doc
from auditor.requests import Requests
from schemas.errors import PartialAnswerError


class Realtime:
    """Gets by id from one index."""

    def __init__(self, client: Elasticsearch, requests: Requests, index: str) -> None:
        self._client = client
        self._requests = requests
        self._index = index

    def get(self, ids: Sequence[str]) -> dict[str, Doc]:
        """Document id -> document, if there is one. Raises `PartialAnswerError` if one cannot be looked up."""
        answer = self._requests.send(
            "get", lambda: self._client.mget(index=self._index, ids=list(ids), source_includes=["_cdc"], realtime=True)
        )
        docs = answer["docs"]
        failed = [doc for doc in docs if "error" in doc]
        if failed or len(docs) != len(ids):
            raise PartialAnswerError(f"documents could not be looked up: {failed[:1]}", where=self._index)
        return {doc["_id"]: Doc.read(doc) for doc in docs if doc["found"]}
