"""What the index holds: sums per range and lists at one point in time, single documents in real time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from elasticsearch import Elasticsearch

from auditor import queries
from auditor.doc import Doc
from auditor.expected import Bounds
from auditor.index import Index
from auditor.queries import Query
from auditor.requests import Requests
from auditor.search import Total
from auditor.window import Windows
from schemas.errors import PartialAnswerError

FILTERS_A_REQUEST = 256
_KEEP_ALIVE = "5m"
_PAGE = 5000
_KEY_ORDER = [{"_cdc.partition": "asc"}, {"_cdc.key": "asc"}, {"_shard_doc": "asc"}]


class ElasticSide:
    """One index, refreshed and held at one point in time, so that all requests and all replicas agree.

    `ends` tells the end of every partition. It is asked after the point in time is taken: whatever the sink had written
    by then lies below.
    """

    def __init__(
        self,
        client: Elasticsearch,
        requests: Requests,
        index: Index,
        topic_id: str,
        windows: Windows,
        *,
        ends: Callable[[], Mapping[int, int]],
    ) -> None:
        self._client = client
        self._requests = requests
        self._index = index.name
        self._topic_id = topic_id
        self._windows = windows
        self._pit = ""
        self._read_ends = ends
        self._ends: Mapping[int, int] = {}
        self.foreign_count: int | None = None
        self.beyond_count = 0

    def __enter__(self) -> Self:
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
        self._ends = self._read_ends()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._requests.send("closing", lambda: self._client.close_point_in_time(id=self._pit))

    def totals(self, bounds: Sequence[Bounds]) -> list[Total]:
        """One total a range. The first request counts the documents too that are in no range: foreign, beyond."""
        found: list[Total] = []
        for start in range(0, len(bounds), FILTERS_A_REQUEST):
            ranges = bounds[start : start + FILTERS_A_REQUEST]
            found += self._sums(ranges) if self.foreign_count is not None else self._first_sums(ranges)
        return found

    def _sums(self, ranges: Sequence[Bounds]) -> list[Total]:
        query = queries.in_ranges(ranges, self._topic_id, self._windows)
        answer = self._search(size=0, query=query, aggs={"ranges": queries.sums(ranges, self._windows)})
        return queries.read_sums(answer["aggregations"]["ranges"])

    def _first_sums(self, ranges: Sequence[Bounds]) -> list[Total]:
        partitions = range(self._windows.count)
        owned = {
            "filter": queries.owned(self._topic_id, partitions),
            "aggs": {"ranges": queries.sums(ranges, self._windows)},
        }
        foreign = {"filter": queries.foreign(self._topic_id, partitions)}
        beyond = {"filter": queries.beyond(self._topic_id, self._ends)}
        aggs = {"owned": owned, "foreign": foreign, "beyond": beyond}
        answer = self._search(size=0, aggs=aggs, track_total_hits=True)
        found, others = answer["aggregations"]["owned"], int(answer["aggregations"]["foreign"]["doc_count"])
        if found["doc_count"] + others != answer["hits"]["total"]["value"]:
            raise PartialAnswerError("the parts of the index do not add up to the whole", where=self._index)
        self.foreign_count = others
        self.beyond_count = int(answer["aggregations"]["beyond"]["doc_count"])
        return queries.read_sums(found["ranges"])

    def listed(self, bounds: Sequence[Bounds]) -> Iterator[Doc]:
        """The documents in these ranges."""
        yield from self._pages(queries.in_ranges(bounds, self._topic_id, self._windows), _KEY_ORDER)

    def with_keys(self, keys: Sequence[str]) -> Iterator[Doc]:
        """The documents that claim one of these keys, whatever their offset."""
        yield from self._pages(queries.with_keys(keys, self._topic_id, self._windows), _KEY_ORDER)

    def foreign(self) -> Iterator[Doc]:
        """The documents that belong to no partition of the topic."""
        yield from self._pages(queries.foreign(self._topic_id, range(self._windows.count)), [{"_shard_doc": "asc"}])

    def beyond(self) -> Iterator[Doc]:
        """The documents that show an event which the topic does not have yet."""
        yield from self._pages(queries.beyond(self._topic_id, self._ends), [{"_shard_doc": "asc"}])

    def _pages(self, query: Query, sort: list[dict[str, str]]) -> Iterator[Doc]:
        after: dict[str, Any] = {}
        while True:
            answer = self._search(size=_PAGE, query=query, sort=sort, source=["_cdc"], track_total_hits=False, **after)
            hits = answer["hits"]["hits"]
            yield from (Doc.read(hit) for hit in hits)
            if len(hits) < _PAGE:
                return
            after = {"search_after": hits[-1]["sort"]}

    def _search(self, **body: Any) -> Any:
        pit = {"id": self._pit, "keep_alive": _KEEP_ALIVE}
        answer = self._requests.send(
            "search", lambda: self._client.search(pit=pit, allow_partial_search_results=False, **body)
        )
        queries.check(answer, self._index)
        self._pit = answer.get("pit_id", self._pit)
        return answer
