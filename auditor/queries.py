"""The requests' parts, and what an answer must be like to count. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from auditor.expected import Bounds
from auditor.search import Total
from auditor.window import Windows
from schemas.errors import PartialAnswerError

Query = dict[str, Any]

_FIELDS = ("key", "partition", "offset", "fp", "seq")


def owned(topic_id: str, partitions: Sequence[int]) -> Query:
    """Documents that say they come from a partition of this topic, completely enough to be audited."""
    exists = [{"exists": {"field": f"_cdc.{name}"}} for name in _FIELDS]
    span = {"gte": min(partitions), "lte": max(partitions)}
    return {"bool": {"filter": [{"term": {"_cdc.topic_id": topic_id}}, {"range": {"_cdc.partition": span}}, *exists]}}


def foreign(topic_id: str, partitions: Sequence[int]) -> Query:
    """Every other document."""
    return {"bool": {"must_not": [owned(topic_id, partitions)]}}


def beyond(topic_id: str, ends: Mapping[int, int]) -> Query:
    """Owned documents with an offset that their partition had not reached (partition -> its end)."""
    parts = [
        {"bool": {"filter": [{"term": {"_cdc.partition": part}}, {"range": {"_cdc.offset": {"gte": end}}}]}}
        for part, end in ends.items()
    ]
    return {"bool": {"filter": [owned(topic_id, list(ends)), {"bool": {"should": parts, "minimum_should_match": 1}}]}}


def in_range(bounds: Bounds, windows: Windows) -> Query:
    """Of the owned documents those with key in `[low, high)`, of this partition, with an offset in the window."""
    keys = _keys(bounds)
    return {"bool": {"filter": [*_window(bounds.partition, windows), *([keys] if keys else [])]}}


def in_ranges(bounds: Sequence[Bounds], topic_id: str, windows: Windows) -> Query:
    """All that is in any of the ranges; neighbours are asked for as one, since a query's clauses are limited."""
    parts = []
    for partition, group in groupby(bounds, key=lambda bound: bound.partition):
        keys = [_keys(bound) for bound in _merged(list(group))]
        some = [] if None in keys else [{"bool": {"should": keys, "minimum_should_match": 1}}]
        parts.append({"bool": {"filter": [*_window(partition, windows), *some]}})
    return {
        "bool": {
            "filter": [owned(topic_id, windows.partitions), {"bool": {"should": parts, "minimum_should_match": 1}}]
        }
    }


def _merged(bounds: Sequence[Bounds]) -> list[Bounds]:
    made = [bounds[0]]
    for bound in bounds[1:]:
        if bound.low is not None and bound.low == made[-1].high:
            made[-1] = Bounds(bound.partition, made[-1].low, bound.high)
        else:
            made.append(bound)
    return made


def _keys(bounds: Bounds) -> Query | None:
    keys = {name: key for name, key in (("gte", bounds.low), ("lt", bounds.high)) if key is not None}
    return {"range": {"_cdc.key": keys}} if keys else None


def _window(partition: int, windows: Windows) -> list[Query]:
    offset: Query = {"lt": windows.high(partition)}
    lower = windows.lower(partition)
    if lower is not None:
        offset["gte"] = lower
    return [{"term": {"_cdc.partition": partition}}, {"range": {"_cdc.offset": offset}}]


def with_keys(keys: Sequence[str], topic_id: str, windows: Windows) -> Query:
    """Documents of these keys, however old."""
    return {"bool": {"filter": [owned(topic_id, windows.partitions), {"terms": {"_cdc.key": list(keys)}}]}}


def sums(bounds: Sequence[Bounds], windows: Windows) -> Query:
    """One bucket a range, in the same order, with a count and the sum of fp; to be asked of owned documents."""
    ranges = [in_range(bound, windows) for bound in bounds]
    return {"filters": {"filters": ranges}, "aggs": {"fp": {"sum": {"field": "_cdc.fp"}}}}


def read_sums(aggregation: Mapping[str, Any]) -> list[Total]:
    return [Total(bucket["doc_count"], int(bucket["fp"]["value"])) for bucket in aggregation["buckets"]]


def check(answer: Mapping[str, Any], where: str) -> None:
    """Raise `PartialAnswerError` unless every shard answered in full: a part would look like missing documents."""
    shards = answer.get("_shards", {})
    if answer.get("timed_out"):
        raise PartialAnswerError("Elasticsearch answered before it was done (timed_out)", where=where)
    if shards.get("failed", 1) or shards.get("successful") != shards.get("total"):
        raise PartialAnswerError(f"not every shard answered: {shards}", where=where, hint="See GET _cluster/health.")
