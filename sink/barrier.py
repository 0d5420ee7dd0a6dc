"""A barrier: everything of a partition with a lower seq is gone, and so are its documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch

from ops.elastic import translate
from schemas.errors import UnreachableError
from sink.bulk import send
from sink.outcome import Outcome
from sink.part import Part
from sink.settle import fatal

_PAGE = 1000
_KEEP_ALIVE = "2m"


def of_part(part: Part) -> list[dict[str, Any]]:
    """The filter for the documents that came from a partition."""
    return [{"term": {"_cdc.topic_id": part.topic_id}}, {"term": {"_cdc.partition": part.number}}]


def is_empty(client: Elasticsearch, part: Part, where: str) -> bool:
    """True if the index holds nothing of the partition."""
    try:
        client.indices.refresh(index=part.alias)
        found = client.search(
            index=part.alias, size=0, track_total_hits=1, query={"bool": {"filter": of_part(part)}},
            allow_partial_search_results=False,
        )  # fmt: skip
    except (ApiError, TransportError) as error:
        raise translate(error, where) from error
    _complete(found.body, where)
    return bool(found["hits"]["total"]["value"] == 0)


def apply(client: Elasticsearch, part: Part, below: int, where: str, wanted: Callable[[], bool]) -> None:
    """Delete the partition's documents with a lower seq, with `below` as the version; safe to do again.

    Nothing of the partition may be in flight. Raises a retryable error to be called again, and one when `wanted`
    turns false.
    """
    try:
        client.indices.refresh(index=part.alias)
        pit = client.open_point_in_time(index=part.alias, keep_alive=_KEEP_ALIVE)["id"]
        try:
            for ids in _below(client, pit, part, below, where):
                if not wanted():
                    raise UnreachableError("a barrier was interrupted", where=part.where)
                _delete(client, part, ids, below)
        finally:
            client.close_point_in_time(id=pit)
        client.indices.refresh(index=part.alias)
    except (ApiError, TransportError) as error:
        raise translate(error, where) from error


def _below(client: Elasticsearch, pit: str, part: Part, below: int, where: str) -> Iterator[list[str]]:
    query = {"bool": {"filter": [*of_part(part), {"range": {"_cdc.seq": {"lt": below}}}]}}
    after = None
    while True:
        page = client.search(
            pit={"id": pit, "keep_alive": _KEEP_ALIVE},
            query=query,
            sort=["_shard_doc"],
            size=_PAGE,
            source=False,
            track_total_hits=False,
            search_after=after,
            allow_partial_search_results=False,
        ).body
        _complete(page, where)
        hits = page["hits"]["hits"]
        if not hits:
            return
        yield [hit["_id"] for hit in hits]
        after = hits[-1]["sort"]


def _delete(client: Elasticsearch, part: Part, ids: list[str], below: int) -> None:
    target = {"_index": part.alias, "version": below, "version_type": "external"}
    body = b"".join(orjson.dumps({"delete": {**target, "_id": name}}, option=orjson.OPT_APPEND_NEWLINE) for name in ids)
    reply = send(client, body, len(ids))
    answers = [reply.failed] if reply.failed else reply.answers
    for answer in answers:
        if answer.outcome in (Outcome.RETRY, Outcome.TOO_LARGE):
            raise UnreachableError(f"deleting below a barrier: {answer.status} {answer.type}", where=part.where)
        if answer.outcome not in (Outcome.APPLIED, Outcome.STALE):
            raise fatal(answer, part)


def _complete(body: dict[str, Any], where: str) -> None:
    if body.get("timed_out") or body["_shards"]["failed"]:
        raise UnreachableError("Elasticsearch answered in part only", where=where)
