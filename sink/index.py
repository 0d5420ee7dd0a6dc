"""The index of a table: one alias, one index behind it, made and kept by tidemark alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from elastic_transport import TransportError
from elasticsearch import ApiError, BadRequestError, Elasticsearch, NotFoundError

from ops.duration import seconds
from ops.elastic import translate
from ops.log import logger
from ops.settings import SinkSettings
from schemas import names
from schemas.errors import ConfigError, IndexForeignError, IndexMissingError, MappingConflictError, UsageError
from schemas.mapping import table_mapping
from schemas.table import FORMAT, Table, check_format
from sink.mapping import conflicts, field_count, missing

_log = logger(__name__)

# Elasticsearch forgets a delete's version after this time; see sink.lease.
GC_DELETES = "5m"
_FIELD_RESERVE = 1000
_LONGEST_BYTES = 255
_ILLEGAL = re.compile(r'[A-Z\\/*?"<>|,#:\s]|^[-_+.]')


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index as it was found or made. `version`: the table version that its mapping follows."""

    alias: str
    name: str
    version: int
    created: bool = False


class Indices:
    """Looks indices up, makes them, lets their mappings follow the tables."""

    def __init__(self, client: Elasticsearch, settings: SinkSettings, source: str, where: str) -> None:
        self._client = client
        self._settings = settings
        self._source = source
        self._where = where

    def reach(self) -> None:
        """Raise a `TidemarkError` if the cluster does not answer, or refuses us."""
        try:
            self._client.indices.exists_alias(name=names.alias(names.schema_topic(self._source)))
        except (ApiError, TransportError) as error:
            raise translate(error, self._where) from error

    def alias(self, table: Table) -> str:
        """The alias of a table, as configured or as its topic is called. Raises `ConfigError` for an illegal name."""
        named = self._settings.tables.get(table.full_name)
        alias = (named.index if named else None) or names.alias(table.topic)
        if _ILLEGAL.search(alias) or len(names.index(alias).encode()) > _LONGEST_BYTES:
            raise ConfigError(
                f"`{alias}` cannot be the name of an index",
                where=f'[sink.tables."{table.full_name}"]',
                hint="Use lower-case letters, digits, `-`, `_` and `.`, at most 248 bytes, not beginning with `-_+.`.",
            )
        return alias

    def find(self, table: Table) -> Index | None:
        """The index behind the table's alias, None if neither exists.

        Raises `IndexForeignError` if somebody else made it.
        """
        alias = self.alias(table)
        found = self._get(alias)
        if found is None:
            return None
        name, meta = self._ours(alias, found)
        wanted = {"source": self._source, "table": table.full_name, "topic": table.topic}
        if any(meta.get(key) != value for key, value in wanted.items()):
            raise _foreign(alias, f"it belongs to {meta.get('source')}, {meta.get('table')} ({meta.get('topic')})")
        return Index(alias=alias, name=name, version=meta["table_version"])

    def verify(self, alias: str) -> None:
        """Raise `IndexMissingError` or `IndexForeignError` if the alias does not lead to one index of ours."""
        found = self._get(alias)
        if found is None:
            raise IndexMissingError(
                "the index or its alias is gone", where=alias, hint="Restore it, or rebuild it from the topic."
            )
        self._ours(alias, found)

    def create(self, table: Table) -> Index:
        """Make the index with its alias. Raises `IndexForeignError` if an index of that name is in the way."""
        alias = self.alias(table)
        name = names.index(alias)
        try:
            self._create(alias, name, table)
        except BadRequestError as error:
            if error.error != "resource_already_exists_exception":
                raise translate(error, f"{self._where}, {alias}") from error
            found = self.find(table)  # perhaps another sink was faster
            if found is None:
                raise _foreign(alias, f"{name} exists without that alias") from None
            return found
        except (ApiError, TransportError) as error:
            raise translate(error, self._where) from error
        return Index(alias=alias, name=name, version=table.version, created=True)

    def _create(self, alias: str, name: str, table: Table) -> None:
        try:
            self._put_index(alias, name, table, unsigned_long=True)
        except BadRequestError as error:
            if not _lacks_unsigned_long(error):
                raise
            self._put_index(alias, name, table, unsigned_long=False)

    def _put_index(self, alias: str, name: str, table: Table, *, unsigned_long: bool) -> None:
        mapping = table_mapping(table, unsigned_long=unsigned_long)
        self._client.indices.create(
            index=name,
            aliases={alias: {"is_write_index": True}},
            mappings={**mapping, "_meta": self._meta(table)},
            settings={
                "number_of_shards": self._settings.shards,
                "number_of_replicas": self._settings.replicas,
                "refresh_interval": self._settings.refresh_interval,
                "gc_deletes": GC_DELETES,
                "mapping.total_fields.limit": field_count(mapping) + _FIELD_RESERVE,
            },
        )

    def follow(self, index: Index, table: Table) -> Index:
        """Add the columns that the index lacks. Raises `MappingConflictError` for what Elasticsearch cannot change."""
        existing = self.mappings(index)
        narrow = table_mapping(table, unsigned_long=False)["properties"]
        wide = table_mapping(table)["properties"]
        found = conflicts(existing["properties"], wide, narrow)
        if found:
            raise _conflict(index, table, "; ".join(found))
        new = missing(existing["properties"], wide)
        version = max(index.version, table.version)
        meta = {**existing["_meta"], "tidemark": {**existing["_meta"]["tidemark"], "table_version": version}}
        try:
            self._raise_limit(index, field_count(existing) + field_count({"properties": new}))
            try:
                self._client.indices.put_mapping(index=index.name, properties=new, meta=meta)
            except BadRequestError as error:
                if not _lacks_unsigned_long(error):
                    raise
                self._client.indices.put_mapping(
                    index=index.name, properties=missing(existing["properties"], narrow), meta=meta
                )
        except BadRequestError as error:
            raise _conflict(index, table, str(error)) from error
        except (ApiError, TransportError) as error:
            raise translate(error, f"{self._where}, {index.alias}") from error
        return Index(alias=index.alias, name=index.name, version=version)

    def keep_deletes(self, index: Index) -> None:
        """See to it that the index remembers deletes for as long as a request of ours can be on its way."""
        key = "index.gc_deletes"
        try:
            found = self._client.indices.get_settings(index=index.name, name=key, flat_settings=True)
            kept = str(found.body.get(index.name, {}).get("settings", {}).get(key, ""))
            if not _at_least(kept, GC_DELETES):
                self._client.indices.put_settings(index=index.name, settings={key: GC_DELETES})
                _log.warning("the index forgot deletes too early", action="gc_deletes", index=index.name, was=kept)
        except (ApiError, TransportError) as error:
            raise translate(error, f"{self._where}, {index.alias}") from error

    def _raise_limit(self, index: Index, fields: int) -> None:
        key = "index.mapping.total_fields.limit"
        found = self._client.indices.get_settings(index=index.name, name=key, flat_settings=True)
        limit = int(found.body[index.name]["settings"].get(key, 1000))
        if fields + _FIELD_RESERVE // 2 > limit:
            self._client.indices.put_settings(index=index.name, settings={key: fields + _FIELD_RESERVE})

    def mappings(self, index: Index) -> dict[str, Any]:
        """The mapping that an index has, `_meta` included."""
        found = self._get(index.alias)
        if found is None or index.name not in found:
            raise IndexMissingError("the index or its alias is gone", where=index.alias)
        mappings: dict[str, Any] = found[index.name]["mappings"]
        return mappings

    def _get(self, alias: str) -> dict[str, Any] | None:
        try:
            return dict(self._client.indices.get(index=alias, features=["aliases", "mappings"]).body)
        except NotFoundError:
            return None
        except (ApiError, TransportError) as error:
            raise translate(error, f"{self._where}, {alias}") from error

    def _ours(self, alias: str, found: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        if len(found) != 1:
            raise _foreign(alias, f"the alias leads to {len(found)} indices")
        ((name, index),) = found.items()
        if name == alias:
            raise _foreign(alias, "it is an index, not an alias")
        meta = index["mappings"].get("_meta", {}).get("tidemark")
        if meta is None:
            raise _foreign(alias, f"{name} was not made by tidemark")
        check_format(meta, f"_meta of {name}")
        return name, meta

    def _meta(self, table: Table) -> dict[str, Any]:
        about = {"source": self._source, "table": table.full_name, "topic": table.topic, "table_version": table.version}
        return {"tidemark": {"format": FORMAT, **about}}


def _at_least(found: str, wanted: str) -> bool:
    try:
        return seconds(found) >= seconds(wanted)
    except UsageError:  # no unit that is that long: `60000ms`; or it is not set, and a minute
        return False


def _lacks_unsigned_long(error: BadRequestError) -> bool:
    # "No handler for type [unsigned_long]" until 8.x, "The mapper type [unsigned_long] … does not exist" since 9.
    return error.error == "mapper_parsing_exception" and "[unsigned_long]" in str(error)


def _foreign(alias: str, why: str) -> IndexForeignError:
    return IndexForeignError(
        f"`{alias}` is not this pipeline's index: {why}",
        where=alias,
        hint='Choose another name with [sink.tables."<database>.<table>"] index, or remove what is there.',
    )


def _conflict(index: Index, table: Table, diff: str) -> MappingConflictError:
    return MappingConflictError(
        f"the index of {table.full_name} cannot follow version {table.version} of the table: {diff}",
        where=index.name,
        hint="Build the index anew from its topic.",
    )
