"""Every document of a topic in an index at one point in time, `_version` and fields included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from elasticsearch import Elasticsearch

from auditor import queries
from auditor.digest import canonical
from auditor.doc import Doc
from auditor.page import Page, TooLargeError
from auditor.requests import Requests
from schemas.errors import PartialAnswerError

_KEEP_ALIVE = "5m"
_FIRST_PAGE = 64
_PAGE = 1000
_PAGE_BYTES = 8 << 20


class Scan:
    """One index. Pages are sized by what the last one weighed, since documents may be megabytes."""

    def __init__(self, client: Elasticsearch, requests: Requests, index: str) -> None:
        self._client = client
        self._requests = requests
        self._index = index
        self._pit = ""

    def open(self) -> None:
        """Refresh, and take the point in time."""
        refreshed = self._requests.send("refresh", lambda: self._client.indices.refresh(index=self._index))
        if refreshed["_shards"]["failed"]:
            raise PartialAnswerError(f"a shard could not be refreshed: {refreshed['_shards']}", where=self._index)
        opened = self._requests.send(
            "point in time",
            lambda: self._client.open_point_in_time(
                index=self._index, keep_alive=_KEEP_ALIVE, allow_partial_search_results=False
            ),
        )
        self._pit = opened["id"]

    def owned(self, topic_id: str, partitions: Sequence[int]) -> Iterator[list[Doc]]:
        """Pages of the documents that say they come from this topic, with `source`."""
        yield from self._pages(queries.owned(topic_id, partitions), source=True)

    def everything(self, fields: Sequence[str]) -> Iterator[list[Doc]]:
        """Pages of all documents, with these fields of `_source` alone."""
        yield from self._pages({"match_all": {}}, source=list(fields))

    def _pages(self, query: queries.Query, *, source: bool | list[str]) -> Iterator[list[Doc]]:
        page = Page(first=_FIRST_PAGE, most=_PAGE, size_bytes=_PAGE_BYTES)
        after: dict[str, Any] = {}
        while True:
            hits = self._hits(page, query=query, source=source, **after)
            yield [Doc.read(hit, whole=True) for hit in hits]
            if len(hits) < page.rows:
                break
            after = {"search_after": hits[-1]["sort"]}
            page.took(len(hits), sum(len(canonical(hit.get("_source"))) for hit in hits))
        self._requests.send("closing", lambda: self._client.close_point_in_time(id=self._pit))

    def _hits(self, page: Page, **body: Any) -> list[dict[str, Any]]:
        """As many as the page asks for by the end: fewer if they are too large for us, or for Elasticsearch."""
        while True:
            try:
                return self._search(page, **body)
            except TooLargeError:
                if page.rows == 1:
                    raise
                page.halve()

    def _search(self, page: Page, **body: Any) -> list[dict[str, Any]]:
        def call() -> Any:
            if self._requests.refused():  # its memory may be too small for so many
                page.halve()
            return self._client.search(
                pit={"id": self._pit, "keep_alive": _KEEP_ALIVE},
                sort=[{"_shard_doc": "asc"}],
                size=page.rows,
                version=True,
                track_total_hits=False,
                allow_partial_search_results=False,
                **body,
            )

        answer = self._requests.send("scan", call)
        queries.check(answer, self._index)
        self._pit = answer.get("pit_id", self._pit)
        hits: list[dict[str, Any]] = answer["hits"]["hits"]
        return hits
