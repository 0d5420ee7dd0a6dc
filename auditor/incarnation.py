"""Which life of an index it is: one of the same name may be a new one, or may have been restored from a snapshot."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from elasticsearch import Elasticsearch

from auditor.index import Index
from auditor.requests import Requests
from schemas.errors import RefusedError

_FIELDS = ["indices.*.uuid", "indices.*.shards.*.routing.primary", "indices.*.shards.*.commit.user_data.history_uuid"]


def incarnation(requests: Requests, client: Elasticsearch, index: Index) -> str:
    """A digest of its id and of the history of each shard; empty if Elasticsearch does not tell.

    A shard begins a new history when it is restored, and when it is allocated anew though its newest copy is lost.
    """
    try:
        found = requests.send(
            "asking for its history",
            lambda: client.indices.stats(index=index.name, level="shards", metric="docs", filter_path=_FIELDS),
        )
    except RefusedError:  # without the privilege `monitor`
        return ""
    about = found.get("indices", {}).get(index.name, {})
    shards: dict[str, list[dict[str, Any]]] = about.get("shards", {})
    histories = {
        number: copy["commit"]["user_data"]["history_uuid"]
        for number, copies in shards.items()
        for copy in copies
        if copy["routing"]["primary"] and "commit" in copy
    }
    if len(histories) != index.shards or about["uuid"] != index.uuid:
        return ""
    told = orjson.dumps([index.uuid, histories], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(told).hexdigest()[:16]
