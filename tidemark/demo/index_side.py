"""The demonstration's own look at Elasticsearch: plain requests, no code of the sink's or the auditor's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from elasticsearch import Elasticsearch

from tidemark.demo.services import DemoError
from tidemark.demo.shop import DATABASE

_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Doc:
    """One document by table and `_id`; as text `<database>.<table>/<_id>`."""

    table: str
    id: str

    def __str__(self) -> str:
        return f"{DATABASE}.{self.table}/{self.id}"


class IndexSide:
    """Documents of the shop's indexes, found through their aliases."""

    def __init__(self, client: Elasticsearch, source: str) -> None:
        self._client = client
        self._source = source

    def alias(self, table: str) -> str:
        return f"{self._source}.{DATABASE}.{table}"

    def counts(self, tables: Iterable[str]) -> dict[str, int]:
        """Searchable documents per table; 0 where there is no index yet, -1 where it has just been made."""
        patient = self._client.options(ignore_status=503)
        return {
            table: int(patient.count(index=self.alias(table), ignore_unavailable=True).get("count", -1))
            for table in tables
        }

    def source(self, doc: Doc) -> dict[str, Any] | None:
        """The document as it is now, whether searchable yet or not; None if it is not there."""
        answer = self._client.options(ignore_status=404).get(index=self.alias(doc.table), id=doc.id)
        return dict(answer["_source"]) if answer.get("found") else None

    def sample(self, table: str, size: int) -> list[Doc]:
        """Some documents, in a repeatable order."""
        answer = self._client.search(index=self.alias(table), size=size, sort="_cdc.key", source=False)
        return [Doc(table=table, id=hit["_id"]) for hit in answer["hits"]["hits"]]

    def orders_from(self, first: int) -> list[int]:
        """Ids of searchable orders from an id on."""
        answer = self._client.search(
            index=self.alias("orders"), query={"range": {"id": {"gte": first}}}, size=1000, sort="id", source=False
        )
        return [int(hit["_id"]) for hit in answer["hits"]["hits"]]

    def delete(self, doc: Doc) -> None:
        """A plain DELETE, as a careless script sends it."""
        self._client.delete(index=self.alias(doc.table), id=doc.id)

    def overwrite(self, doc: Doc, old: dict[str, Any]) -> None:
        """A plain index request with an older `_source`, as a restored backup sends it."""
        self._client.index(index=self.alias(doc.table), id=doc.id, document=old)

    def refresh(self) -> None:
        self._client.indices.refresh(index=f"{self._source}.*")


def wait_for(what: str, check: Callable[[], bool], *, alive: Callable[[], None], timeout_s: float = 90) -> float:
    """Wait until `check` holds; seconds it took. `alive` raises when waiting has become pointless."""
    start = time.monotonic()
    while not check():
        alive()
        if time.monotonic() - start > timeout_s:
            raise DemoError(f"waited {timeout_s:.0f} s in vain: {what}")
        time.sleep(_POLL_S)
    return time.monotonic() - start
