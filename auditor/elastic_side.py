"""What the index holds: sums per range and lists at one point in time, single documents in real time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from elasticsearch import Elasticsearch

from auditor import queries
from auditor.axis import Bounds
from auditor.doc import Doc
from auditor.index import Index
from auditor.op import Barrier
from auditor.pace import Pace
from auditor.page import TooLargeError
from auditor.queries import Query
from auditor.requests import Requests
from auditor.search import KEY, Total
from auditor.window import Windows
from schemas.errors import PartialAnswerError, UnsafeError

FILTERS_A_REQUEST = 256  # every document is tried against every filter
RANGES_A_REQUEST = 16_000  # well below search.max_buckets
_KEEP_ALIVE = "15m"  # longer than it takes to fold a large topic
_PAGE = 10_000  # index.max_result_window
_CLAUSES = 256
_FEWEST_RANGES = 250
_ORDER = [{"_shard_doc": "asc"}]
# Thousands of buckets: without this their keys, and their bounds as numbers and as texts, would be most of an answer.
_SUMS = ["pit_id", "took", "timed_out", "hits.total", "_shards", "aggregations.**.doc_count", "aggregations.**.value"]


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
        self._pace = Pace()
        self._took_s = 0.0
        self._looked_at = 0
        self._most_ranges = RANGES_A_REQUEST
        self._without: Query | None = None
        self._swept: Query | None = None
        self._read_ends = ends
        self.ends: Mapping[int, int] = {}
        self.foreign_count: int | None = None
        self.beyond_count = 0
        self.routed_count = 0
        self.swept_count = 0

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
        self.ends = self._read_ends()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._requests.send("closing", lambda: self._client.close_point_in_time(id=self._pit))

    def settle(self, windows: Windows, without: Sequence[str], barriers: Sequence[Barrier] = ()) -> None:
        """From here on count and list what is in these windows, and no documents of those keys.

        `barriers`: those the sink is past, one a partition: what they removed from before a window is counted, too.
        """
        self._windows = windows
        self._without = queries.keyed(without) if without else None
        below = {one.partition: one.below for one in barriers if one.partition in windows.lowers}
        self._swept = queries.swept(self._topic_id, below, windows.lowers) if below else None

    def totals(self, bounds: Sequence[Bounds], sizes: Sequence[int]) -> list[Total]:
        """One total a range; `sizes`: how many documents each may have.

        The first request counts the documents too that are in no range (foreign, beyond, swept), and the routed ones.
        """
        found: list[Total] = []
        most = min(self._most_ranges, FILTERS_A_REQUEST if bounds[0].axis == KEY else RANGES_A_REQUEST)
        for start, end in self._pace.cut(sizes, most):
            ranges = bounds[start:end]
            found += self._sums(ranges) if self.foreign_count is not None else self._first_sums(ranges)
            self._pace.took(self._looked_at, self._took_s, busy=self._requests.refused())
        return found

    def _sums(self, ranges: Sequence[Bounds]) -> list[Total]:
        wanted = queries.covering(ranges, _CLAUSES)
        query = queries.in_ranges(wanted, self._topic_id, self._windows, without=self._without)
        try:
            answer = self._search(
                size=0, query=query, aggs=queries.sums(ranges, self._windows), track_total_hits=True, filter_path=_SUMS
            )
        except UnsafeError:
            # Clusters can be set to take fewer buckets or clauses than they do by default.
            if len(ranges) <= _FEWEST_RANGES:
                raise
            self._most_ranges = half = len(ranges) // 2
            return self._sums(ranges[:half]) + self._sums(ranges[half:])
        return queries.read_sums(ranges, answer["aggregations"])

    def _first_sums(self, ranges: Sequence[Bounds]) -> list[Total]:
        partitions = range(self._windows.count)
        settled = {
            "filter": {"bool": {"must_not": [self._without] if self._without else []}},
            "aggs": queries.sums(ranges, self._windows),
        }
        owned = {"filter": queries.owned(self._topic_id, partitions), "aggs": {"settled": settled}}
        foreign = {"filter": queries.foreign(self._topic_id, partitions)}
        beyond = {"filter": queries.beyond(self._topic_id, self.ends)}
        aggs = {"owned": owned, "foreign": foreign, "beyond": beyond, "routed": {"filter": queries.ROUTED}}
        if self._swept is not None:
            aggs["swept"] = {"filter": self._swept}
        answer = self._search(size=0, aggs=aggs, track_total_hits=True)
        found, others = answer["aggregations"]["owned"], int(answer["aggregations"]["foreign"]["doc_count"])
        if found["doc_count"] + others != answer["hits"]["total"]["value"]:
            raise PartialAnswerError("the parts of the index do not add up to the whole", where=self._index)
        self.foreign_count = others
        self.beyond_count = int(answer["aggregations"]["beyond"]["doc_count"])
        self.routed_count = int(answer["aggregations"]["routed"]["doc_count"])
        if self._swept is not None:
            self.swept_count = int(answer["aggregations"]["swept"]["doc_count"])
        return queries.read_sums(ranges, found["settled"])

    def listed(self, bounds: Sequence[Bounds]) -> Iterator[Doc]:
        """The documents in these ranges."""
        yield from self._pages(queries.in_ranges(bounds, self._topic_id, self._windows, without=self._without))

    def with_keys(self, keys: Sequence[str]) -> Iterator[Doc]:
        """The documents that claim one of these keys, whatever their offset."""
        yield from self._pages(queries.with_keys(keys, self._topic_id, self._windows))

    def foreign(self) -> Iterator[Doc]:
        """The documents that belong to no partition of the topic."""
        yield from self._pages(queries.foreign(self._topic_id, range(self._windows.count)))

    def beyond(self) -> Iterator[Doc]:
        """The documents that show an event which the topic does not have yet."""
        yield from self._pages(queries.beyond(self._topic_id, self.ends))

    def swept(self) -> Iterator[Doc]:
        """The documents from before the windows that a barrier in them has removed."""
        if self._swept is not None:
            yield from self._pages(self._swept)

    def routed(self) -> Iterator[Doc]:
        """The documents with a routing, of whatever topic."""
        yield from self._pages(queries.ROUTED)

    def _pages(self, query: Query) -> Iterator[Doc]:
        after: dict[str, Any] = {}
        size = _PAGE
        while True:
            try:
                answer = self._search(
                    size=size, query=query, sort=_ORDER, source=["_cdc"], track_total_hits=False, **after
                )
            except TooLargeError:  # long keys, or what somebody wrote by hand
                if size == 1:
                    raise
                size //= 2
                continue
            hits = answer["hits"]["hits"]
            yield from (Doc.read(hit) for hit in hits)
            if len(hits) < size:
                return
            after = {"search_after": hits[-1]["sort"]}

    def _search(self, **body: Any) -> Any:
        pit = {"id": self._pit, "keep_alive": _KEEP_ALIVE}
        answer = self._requests.send(
            "search", lambda: self._client.search(pit=pit, allow_partial_search_results=False, **body)
        )
        queries.check(answer, self._index)
        self._pit = answer.get("pit_id", self._pit)
        self._took_s = answer["took"] / 1000
        self._looked_at = answer["hits"].get("total", {}).get("value", 0)
        return answer
