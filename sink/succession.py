"""One index takes another's place behind an alias: made beside it, filled, and then swapped in with one request.

What has been done is told by Elasticsearch alone: which alias leads where, and `_meta.tidemark.rebuild`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch, NotFoundError

from ops.elastic import translate
from schemas import names
from schemas.errors import IndexForeignError, IndexMissingError, UnreachableError
from schemas.table import Table
from sink import partitions
from sink.index import Index, Indices


class Phase(StrEnum):
    """How far a rebuild is. From `TAKING_OVER` on the writes of the index that is there may be blocked, by us.

    `HEALED`: it has taken over, and dead letters of events that it took are dropped.
    """

    FILLING = "filling"
    TAKING_OVER = "taking_over"
    HEALED = "healed"


class Replicas(StrEnum):
    """Of an index that was filled without any."""

    THERE = "there"
    AWAITED = "not all replicas are allocated"
    NOT_SHOWN = 'whether its replicas are allocated is not shown, without the cluster privilege "monitor"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Heir:
    """An index that is being built for `of`, the alias that leads to it in the end.

    `config` tells one configuration of the table from another; `old` is the index that was there, empty if none was;
    `blocked`: it was us who blocked its writes.
    """

    name: str
    of: str
    config: str
    phase: Phase = Phase.FILLING
    old: str = ""
    blocked: bool = False

    def to_json(self) -> dict[str, Any]:
        """Its `_meta.tidemark.rebuild`."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "name"}

    @classmethod
    def from_json(cls, name: str, noted: Mapping[str, Any]) -> Heir:
        return cls(name=name, **{**noted, "phase": Phase(noted["phase"])})


class Succession:
    """The steps; each can be done again. Raises a `TidemarkError`, a retryable one where trying again may help.

    `indices` knows the alias that is searched, `beside` the same table under the alias of what is being built.
    """

    def __init__(self, client: Elasticsearch, indices: Indices, beside: Indices, where: str) -> None:
        self._client = client
        self._indices = indices
        self._beside = beside
        self._where = where

    def present(self, table: Table) -> Index | None:
        """The index that is searched now."""
        return self._indices.find(table)

    def heir(self, table: Table) -> Heir | None:
        """The index that is being built, or that has taken over and of which something is left to do."""
        for indices in (self._beside, self._indices):
            index = indices.find(table)
            if index is None:
                continue
            noted = indices.mappings(index)["_meta"]["tidemark"].get("rebuild")
            if noted:
                return Heir.from_json(index.name, noted)
            if indices is self._beside:
                raise IndexForeignError(f"`{index.alias}` leads to an index that is not being built", where=index.name)
        return None

    def next_name(self, table: Table) -> str:
        """What the next index will be called."""
        alias = self._indices.alias(table)
        with self._asked(alias):
            found = self._client.indices.get(index=f"{alias}.*", features=["aliases"], expand_wildcards="all").body
        # The first is for a sink to make: one that starts meanwhile must not find another's there.
        return names.index(alias, max((_generation(alias, known) for known in found), default=1) + 1)

    def begin(self, table: Table, name: str, config: str) -> Heir:
        """Make the next index. Raises `LockedError` if somebody else has just done so."""
        alias = self._indices.alias(table)
        heir = Heir(name=name, of=alias, config=config)
        present = self._indices.find(table)
        about = {} if present is None else self._indices.about(present)
        kept = {key: about[key] for key in (partitions.KEY,) if key in about}
        self._beside.create_next(table, name, self._beside.alias(table), {"rebuild": heir.to_json(), **kept})
        return heir

    def follow(self, indices: Indices, table: Table) -> None:
        """Bring the mapping of what is behind an alias up to a table's version. Raises `MappingConflictError`."""
        index = indices.find(table)
        if index is not None and index.version < table.version:
            indices.follow(index, table)

    def finish_loading(self, heir: Heir, table: Table, timeout_s: float) -> Replicas:
        """Refresh it, and give it the settings that it will live with. Says whether its replicas are there."""
        with self._asked(heir.name):
            self._client.indices.put_settings(index=heir.name, settings=self._indices.usual_settings(table))
            self._client.indices.refresh(index=heir.name)
            # Of all requests here only this one asks for a cluster privilege, `monitor`.
            health = self._client.options(ignore_status=(401, 403, 408)).cluster.health(
                index=heir.name, wait_for_status="green", timeout=f"{timeout_s:.0f}s"
            )
        if health.meta.status in (401, 403):
            return Replicas.NOT_SHOWN
        return Replicas.AWAITED if health["timed_out"] else Replicas.THERE

    def note(self, heir: Heir) -> None:
        """Write down how far it is."""
        self._write(heir.name, {"rebuild": heir.to_json()})

    def settle(self, heir: Heir) -> None:
        """Nothing is left to do."""
        self._write(heir.name, {})

    def _write(self, index: str, more: Mapping[str, Any]) -> None:
        with self._asked(index):
            meta = self._client.indices.get_mapping(index=index).body[index]["mappings"]["_meta"]
            about = {key: value for key, value in meta["tidemark"].items() if key != "rebuild"}
            self._client.indices.put_mapping(index=index, meta={**meta, "tidemark": {**about, **more}})

    def is_blocked(self, index: str) -> bool:
        """True if writes are blocked."""
        key = "index.blocks.write"
        with self._asked(index):
            found = self._client.indices.get_settings(index=index, name=key, flat_settings=True).body
        return bool(found.get(index, {"settings": {}})["settings"].get(key) == "true")

    def block(self, index: str) -> None:
        """Let nobody write there any more. When this returns, nothing that was on its way is left either."""
        # This API waits for the writes in flight on every shard; the setting of the same name does not:
        # https://www.elastic.co/guide/en/elasticsearch/reference/current/index-modules-blocks.html
        with self._asked(index):
            # Of a block that is there already it does not say whether all shards have it.
            self._client.indices.put_settings(index=index, settings={"blocks.write": None})
            done = self._client.indices.add_block(index=index, block="write").body
        if not (done["acknowledged"] and done["shards_acknowledged"]):
            raise UnreachableError(f"not every shard of {index} has taken the write block", where=self._where)

    def unblock(self, index: str) -> None:
        """Let the sink write again; an index that is gone holds nobody."""
        with self._asked(index):
            self._client.indices.put_settings(
                index=index, settings={"blocks.write": None}, ignore_unavailable=True, allow_no_indices=True
            )

    def take_over(self, heir: Heir) -> None:
        """Let the alias lead to the new index, from one moment to the next; done twice it does nothing more.

        It keeps the other one, by which it is filled, until `detach`.
        """
        actions: list[dict[str, Any]] = [
            {"add": {"index": heir.name, "alias": heir.of, "is_write_index": True}},
        ]
        if heir.old:
            actions.insert(0, {"remove": {"index": heir.old, "alias": heir.of, "must_exist": True}})
        with self._asked(heir.of):
            if heir.of in self._client.indices.get_alias(index=heir.name).body[heir.name]["aliases"]:
                return  # the answer to an earlier request was lost
            self._client.indices.update_aliases(actions=actions)

    def is_attached(self, heir: Heir) -> bool:
        """True until `detach`."""
        with self._asked(heir.name):
            found = self._client.indices.get_alias(index=heir.name).body[heir.name]["aliases"]
        return names.next_alias(heir.of) in found

    def detach(self, heir: Heir) -> None:
        """Nobody fills it any more by the alias that it was built behind; done twice it does nothing more."""
        if self.is_attached(heir):
            with self._asked(heir.name):
                self._client.indices.delete_alias(index=heir.name, name=names.next_alias(heir.of))

    def retire(self, old: str) -> None:
        """Keep it, where nobody finds it by a wildcard."""
        with self._asked(old):
            self._client.indices.put_settings(index=old, settings={"hidden": True})

    def drop(self, index: str) -> None:
        """Delete it, if it is there."""
        with self._asked(index):
            self._client.indices.delete(index=index, ignore_unavailable=True)

    def replaced(self, table: Table) -> list[str]:
        """Indices of the table that an alias has left, the oldest first."""
        alias = self._indices.alias(table)
        present = self.present(table)
        with self._asked(alias):
            found = self._client.indices.get(
                index=f"{alias}.*", features=["aliases", "mappings"], expand_wildcards="all"
            ).body
        return [
            name
            for name, about in sorted(found.items())
            if _generation(alias, name)
            and present is not None
            and name < present.name
            and not about["aliases"]
            and about["mappings"].get("_meta", {}).get("tidemark", {}).get("table") == table.full_name
        ]

    @contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        try:
            yield
        except NotFoundError as error:
            raise IndexMissingError(f"Elasticsearch says 404: {error.error}", where=f"{self._where}, {what}") from error
        except (ApiError, TransportError) as error:
            raise translate(error, f"{self._where}, {what}") from error


def _generation(alias: str, name: str) -> int:
    """The number of an index of this alias; 0 for another name."""
    found = re.fullmatch(re.escape(alias) + r"\.(\d{6})", name)
    return int(found[1]) if found else 0
