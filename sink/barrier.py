"""A barrier: everything of a partition with a lower seq is gone, and so are its documents."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import orjson
from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch, NotFoundError

from ops.elastic import translate
from schemas.errors import UnreachableError
from sink.bulk import Answer, send
from sink.outcome import Outcome
from sink.part import Part
from sink.settle import fatal

_PAGE = 1000
_KEEP_ALIVE = "2m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where the indices are. `verify` raises if an alias does not lead to our index any more."""

    client: Elasticsearch
    where: str
    verify: Callable[[str], None]


def of_part(part: Part) -> list[dict[str, Any]]:
    """The filter for the documents that came from a partition."""
    return [{"term": {"_cdc.topic_id": part.topic_id}}, {"term": {"_cdc.partition": part.number}}]


def is_empty(cluster: Cluster, part: Part) -> bool:
    """True if the index holds nothing of the partition."""
    with _translated(cluster, part):
        _refresh(cluster, part)
        found = cluster.client.search(
            index=part.alias, size=0, track_total_hits=1, query={"bool": {"filter": of_part(part)}},
            allow_partial_search_results=False,
        )  # fmt: skip
    _complete(found.body, cluster.where)
    return bool(found["hits"]["total"]["value"] == 0)


def apply(cluster: Cluster, part: Part, below: int, wanted: Callable[[], bool], *, most_s: float = math.inf) -> bool:
    """Delete the partition's documents with a lower seq, with `below` as the version; safe to do again.

    Nothing of the partition may be in flight. False if some may be left after `most_s`. Raises a retryable error to be
    called again, and one when `wanted` turns false.
    """
    until = time.monotonic() + most_s
    with _translated(cluster, part):
        _refresh(cluster, part)
        pit = cluster.client.open_point_in_time(index=part.alias, keep_alive=_KEEP_ALIVE)["id"]
        try:
            for names in _below(cluster, pit, part, below):
                if not wanted():
                    raise UnreachableError("a barrier was interrupted", where=part.where)
                _delete(cluster, part, names, below)
                if time.monotonic() >= until:
                    return False
        finally:
            # It ends by itself, and may have done so already: neither says anything about the sweep.
            with suppress(ApiError, TransportError):
                cluster.client.close_point_in_time(id=pit)
        _refresh(cluster, part)
    return True


@contextmanager
def _translated(cluster: Cluster, part: Part) -> Iterator[None]:
    """The client's errors as ours; what is not found is looked for again, unless it is the index itself."""
    try:
        yield
    except NotFoundError as error:
        # A point in time is gone after a restart. A node that has just come up can say so of the index as well.
        if error.error == "index_not_found_exception":
            cluster.verify(part.alias)
        raise UnreachableError(f"Elasticsearch says 404: {error.error}", where=cluster.where) from error
    except (ApiError, TransportError) as error:
        raise translate(error, cluster.where) from error


def _refresh(cluster: Cluster, part: Part) -> None:
    _complete(cluster.client.indices.refresh(index=part.alias).body, cluster.where)


def _below(cluster: Cluster, pit: str, part: Part, below: int) -> Iterator[list[dict[str, str]]]:
    query = {"bool": {"filter": [*of_part(part), {"range": {"_cdc.seq": {"lt": below}}}]}}
    after = None
    while True:
        page = cluster.client.search(
            pit={"id": pit, "keep_alive": _KEEP_ALIVE},
            query=query,
            sort=["_shard_doc"],
            size=_PAGE,
            source=False,
            track_total_hits=False,
            search_after=after,
            allow_partial_search_results=False,
        ).body
        _complete(page, cluster.where)
        hits = page["hits"]["hits"]
        if not hits:
            return
        yield [_named(hit) for hit in hits]
        after = hits[-1]["sort"]


def _named(hit: dict[str, Any]) -> dict[str, str]:
    """What a request that names a document says."""
    return {"_id": hit["_id"], **({"routing": hit["_routing"]} if "_routing" in hit else {})}


def _delete(cluster: Cluster, part: Part, names: list[dict[str, str]], below: int) -> None:
    target = {"_index": part.alias, "version": below, "version_type": "external"}
    body = b"".join(orjson.dumps({"delete": {**target, **name}}, option=orjson.OPT_APPEND_NEWLINE) for name in names)
    reply = send(cluster.client, body, len(names))
    for answer in [reply.failed] if reply.failed else reply.answers:
        if answer.outcome not in (Outcome.APPLIED, Outcome.STALE):
            raise _failure(cluster, part, answer)


def _failure(cluster: Cluster, part: Part, answer: Answer) -> Exception:
    if answer.type == "index_not_found_exception":
        cluster.verify(part.alias)
    elif answer.outcome not in (Outcome.RETRY, Outcome.TOO_LARGE):
        return fatal(answer, part)
    return UnreachableError(f"deleting below a barrier: {answer.status} {answer.type}", where=part.where)


def _complete(body: dict[str, Any], where: str) -> None:
    if body.get("timed_out") or body["_shards"]["failed"]:
        raise UnreachableError("Elasticsearch answered in part only", where=where)
