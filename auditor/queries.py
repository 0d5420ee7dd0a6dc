"""The requests' parts, and what an answer must be like to count. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from auditor.axis import Bounds
from auditor.search import KEY, Total
from auditor.window import Windows
from schemas.errors import PartialAnswerError

Query = dict[str, Any]

_FP: Query = {"fp": {"sum": {"field": "_cdc.fp"}}}
ROUTED: Query = {"exists": {"field": "_routing"}}
_TERMS = 65_536  # index.max_terms_count
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


def swept(topic_id: str, below: Mapping[int, int], lowers: Mapping[int, int]) -> Query:
    """Owned documents from before their partition's window that a barrier in it has removed (partition -> its limit).

    Those in the window are in its ranges. Only partitions that have a lower limit are looked at.
    """
    parts = [
        {
            "bool": {
                "filter": [
                    {"term": {"_cdc.partition": part}},
                    {"range": {"_cdc.offset": {"lt": lowers[part]}}},
                    {"range": {"_cdc.seq": {"lt": limit}}},
                ]
            }
        }
        for part, limit in below.items()
    ]
    return {"bool": {"filter": [owned(topic_id, list(below)), {"bool": {"should": parts, "minimum_should_match": 1}}]}}


def in_range(bounds: Bounds, windows: Windows) -> Query:
    """Of the owned documents those in a range `[low, high)` of this partition, with an offset in the window."""
    edges = _edges(bounds)
    return {"bool": {"filter": [*_window(bounds.partition, windows), *([edges] if edges else [])]}}


def in_ranges(bounds: Sequence[Bounds], topic_id: str, windows: Windows, *, without: Query | None = None) -> Query:
    """All that is in any of the ranges, except for what `without` finds; neighbours are asked for as one."""
    parts = []
    for partition, group in groupby(bounds, key=lambda bound: bound.partition):
        edges = [_edges(bound) for bound in _merged(list(group))]
        some = [] if None in edges else [{"bool": {"should": edges, "minimum_should_match": 1}}]
        parts.append({"bool": {"filter": [*_window(partition, windows), *some]}})
    mine = [owned(topic_id, windows.partitions), {"bool": {"should": parts, "minimum_should_match": 1}}]
    return {"bool": {"filter": mine, **({"must_not": [without]} if without else {})}}


def keyed(keys: Sequence[str]) -> Query:
    """Documents of these keys."""
    terms = [{"terms": {"_cdc.key": list(keys[start : start + _TERMS])}} for start in range(0, len(keys), _TERMS)]
    return {"bool": {"should": terms, "minimum_should_match": 1}}


def _merged(bounds: Sequence[Bounds]) -> list[Bounds]:
    made = [bounds[0]]
    for bound in bounds[1:]:
        if bound.low is not None and bound.low == made[-1].high:
            made[-1] = made[-1]._replace(high=bound.high)
        else:
            made.append(bound)
    return made


def covering(bounds: Sequence[Bounds], most: int) -> list[Bounds]:
    """At most about so many ranges that hold all of these: those nearest to each other as one, gaps included."""
    groups = [_merged(list(group)) for _, group in groupby(bounds, key=lambda bound: bound.partition)]
    for number, some in enumerate(groups):
        while len(some) > max(1, most // len(groups)):
            some = [pair[0]._replace(high=pair[-1].high) for pair in _pairs(some)]  # noqa: PLW2901
        groups[number] = some
    return [bound for some in groups for bound in some]


def _pairs(bounds: Sequence[Bounds]) -> Iterator[Sequence[Bounds]]:
    return (bounds[start : start + 2] for start in range(0, len(bounds), 2))


def _edges(bounds: Bounds) -> Query | None:
    edges = {name: edge for name, edge in (("gte", bounds.low), ("lt", bounds.high)) if edge is not None}
    return {"range": {f"_cdc.{bounds.axis}": edges}} if edges else None


def _window(partition: int, windows: Windows) -> list[Query]:
    offset: Query = {"lt": windows.high(partition)}
    lower = windows.lower(partition)
    if lower is not None:
        offset["gte"] = lower
    return [{"term": {"_cdc.partition": partition}}, {"range": {"_cdc.offset": offset}}]


def with_keys(keys: Sequence[str], topic_id: str, windows: Windows) -> Query:
    """Documents of these keys, however old."""
    return {"bool": {"filter": [owned(topic_id, windows.partitions), {"terms": {"_cdc.key": list(keys)}}]}}


def sums(bounds: Sequence[Bounds], windows: Windows) -> dict[str, Query]:
    """Aggregations with a count and a sum of fp for each range; to be asked of owned documents."""
    if bounds[0].axis == KEY:
        ranges = [in_range(bound, windows) for bound in bounds]
        return {"ranges": {"filters": {"filters": ranges}, "aggs": _FP}}
    return {
        f"of_{partition}": {
            "filter": {"term": {"_cdc.partition": partition}},
            "aggs": {"ranges": {"range": {"field": "_cdc.offset", "ranges": _cuts(group, windows)}, "aggs": _FP}},
        }
        for partition, group in groupby(bounds, key=lambda bound: bound.partition)
    }


def _cuts(bounds: Iterable[Bounds], windows: Windows) -> list[Query]:
    """Elasticsearch sorts them when it answers, so they have to be in order."""
    made = []
    for bound in bounds:
        low = windows.lower(bound.partition) if bound.low is None else bound.low
        high = windows.high(bound.partition) if bound.high is None else bound.high
        made.append({"to": high} if low is None else {"from": low, "to": high})
    return made


def read_sums(bounds: Sequence[Bounds], aggregations: Mapping[str, Any]) -> list[Total]:
    """One total a range, in the order of the ranges."""
    if bounds[0].axis == KEY:
        buckets = aggregations["ranges"]["buckets"]
    else:
        partitions = dict.fromkeys(bound.partition for bound in bounds)
        buckets = [bucket for part in partitions for bucket in aggregations[f"of_{part}"]["ranges"]["buckets"]]
    if len(buckets) != len(bounds):
        raise PartialAnswerError(f"{len(bounds)} ranges were asked for and {len(buckets)} came back")
    return [Total(bucket["doc_count"], int(bucket["fp"]["value"])) for bucket in buckets]


def check(answer: Mapping[str, Any], where: str) -> None:
    """Raise `PartialAnswerError` unless every shard answered in full: a part would look like missing documents."""
    shards = answer.get("_shards", {})
    if answer.get("timed_out"):
        raise PartialAnswerError("Elasticsearch answered before it was done (timed_out)", where=where)
    if shards.get("failed", 1) or shards.get("successful") != shards.get("total"):
        raise PartialAnswerError(f"not every shard answered: {shards}", where=where, hint="See GET _cluster/health.")
