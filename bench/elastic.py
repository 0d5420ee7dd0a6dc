"""The Elasticsearch of a benchmark: its own for as long as it runs, or that of `TIDEMARK_TEST_ELASTICSEARCH`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch

from schemas.mapping import table_mapping
from schemas.table import Table
from stack import ElasticsearchServer
from stack.watcher import Report, Watcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Elastic:
    """A node. `pid` is 0 for one that is not ours."""

    url: str
    pid: int
    version: str

    def client(self, **options: Any) -> Elasticsearch:
        return Elasticsearch([self.url], request_timeout=120, max_retries=0, **options)


@contextmanager
def elastic(state_dir: Path, say: Report) -> Iterator[Elastic]:
    """A node in `state_dir`, stopped and removed afterwards; or the one that the environment names."""
    named = os.environ.get("TIDEMARK_TEST_ELASTICSEARCH")
    if named:
        yield Elastic(url=named, pid=0, version=f"Elasticsearch at {named}")
        return
    server = ElasticsearchServer(state_dir / "elasticsearch")
    server.folder.mkdir(parents=True, exist_ok=True)
    say(f"starting {server.name}")
    server.start(watcher=Watcher(say))
    try:
        yield Elastic(url=server.url, pid=server.pid, version=f"Elasticsearch {server.version}")
    finally:
        server.wipe()


class Index:
    """The index of a table, as the sink would make it; `made` by us for those who do not make it themselves."""

    def __init__(self, elastic: Elastic, table: Table) -> None:
        self._client = elastic.client()
        self._table = table
        self.alias = table.topic
        self.name = f"{table.topic}.000001"

    def make(self) -> None:
        settings = {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "1s", "gc_deletes": "5m"}
        aliases = {self.alias: {"is_write_index": True}}
        self._client.indices.create(
            index=self.name, aliases=aliases, mappings=table_mapping(self._table), settings=settings
        )

    def remove(self) -> None:
        self._client.indices.delete(index=self.name, ignore_unavailable=True)

    def indexed(self) -> int:
        """How many documents were written to it since it was made; 0 if it is not there."""
        found = self._client.options(ignore_status=404).indices.stats(index=self.name, metric="indexing").body
        primaries = found.get("_all", {}).get("primaries", {})
        return int(primaries.get("indexing", {}).get("index_total", 0))

    def highest(self) -> int:
        """The highest `id` that a search finds; 0 if there is none."""
        found = self._client.search(index=self.name, size=0, aggs={"most": {"max": {"field": "id"}}}).body
        return int(found["aggregations"]["most"]["value"] or 0)

    def count(self) -> int:
        """How many a search finds."""
        self._client.indices.refresh(index=self.name)
        return int(self._client.count(index=self.name)["count"])

    def close(self) -> None:
        self.remove()
        self._client.close()
