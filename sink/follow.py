"""Brings an index up to the newest version of its table that its mapping can take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from ops.catalog import Catalog
from ops.log import logger
from schemas.errors import MappingConflictError
from schemas.table import Table
from sink.index import Index

_log = logger(__name__)

NOTHING = -1  # the version of an index that can take no event at all as it is configured now, not even a tombstone


class Follower(Protocol):
    """Whoever changes mappings."""

    def follow(self, index: Index, table: Table, *, older: bool = False) -> Index:
        """Raises `MappingConflictError`."""


@dataclass(frozen=True, slots=True)
class Followed:
    """How far the index could follow; `conflict` is what stopped it, None if nothing did."""

    index: Index
    conflict: MappingConflictError | None = None


def follow(indices: Follower, catalog: Catalog, index: Index, newest: Table) -> Followed:
    """Version by version, the one that the index has too: what is configured may have changed since it was made."""
    reached = index.version if index.created else NOTHING
    for number in range(index.version + index.created, newest.version + 1):
        table, before = catalog.get(newest.full_name, number), index.version
        if table is not None:
            try:
                index = indices.follow(index, table, older=number < newest.version)
            except MappingConflictError as error:
                return Followed(replace(index, version=reached), error)
            if index.version > before:
                _log.info("mapping follows the table", action="mapping", table=table.full_name, version=number)
        reached = number
    return Followed(index)
