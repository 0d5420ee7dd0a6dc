"""The index of a table: one alias, one index behind it, made and kept by tidemark alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from elastic_transport import TransportError
from elasticsearch import ApiError, BadRequestError, Elasticsearch, NotFoundError

from ops.duration import seconds
from ops.elastic import translate
from ops.log import logger
from ops.settings import SinkSettings
from schemas import names
from schemas.errors import (
    ConfigError,
    IndexForeignError,
    IndexMissingError,
    LockedError,
    MappingConflictError,
    UnreachableError,
    UsageError,
)
from schemas.fit import misfits
from schemas.shape import Rules
from schemas.table import FORMAT, Table, check_format
from sink.definition import GC_DELETES, Definition
from sink.mapping import field_count
from sink.rehearsal import refusal

_log = logger(__name__)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """What an alias leads to, and by which rules it was made: their mark and the routing's columns, sorted."""

    name: str
    mark: str
    routing: tuple[str, ...]

    def made_by(self, rules: Rules) -> bool:
        """True if its documents are those that these rules make."""
        return (self.mark, self.routing) == (rules.mark, tuple(sorted(rules.routing)))


class Indices:
    """Looks indices up, makes them, lets their mappings follow the tables."""

    def __init__(self, client: Elasticsearch, settings: SinkSettings, source: str, where: str) -> None:
        self._client = client
        self._settings = settings
        self._source = source
        self._where = where
        self._seen: dict[str, str] = {}  # alias -> the index of ours that it was last seen to lead to

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
            why = f"it belongs to {meta.get('source')}, {meta.get('table')} ({meta.get('topic')})"
            raise _foreign(alias, why, self._seen.get(alias))
        self._seen[alias] = name
        return Index(alias=alias, name=name, version=meta["table_version"])

    def verify(self, alias: str) -> None:
        """Raise `IndexMissingError` or `IndexForeignError` if the alias does not lead to one index of ours."""
        self.behind(alias)

    def behind(self, alias: str, timeout_s: float | None = None) -> Behind:
        """The one index of ours that the alias leads to. Raises as `verify` does."""
        found = self._get(alias, timeout_s)
        if found is None:
            raise IndexMissingError(
                "the index or its alias is gone",
                where=alias,
                hint="`tidemark sink rebuild` builds it anew. Or restore a snapshot, which is older than the sink's "
                "offsets: then `tidemark sink rewind --to-timestamp` to before it.",
            )
        name, meta = self._ours(alias, found)
        self._seen[alias] = name
        return Behind(name=name, mark=meta.get("rules", ""), routing=tuple(meta.get("routing", ())))

    def create_next(self, table: Table, name: str, alias: str, more: Mapping[str, Any]) -> None:
        """Make an index, hidden and without refreshes and replicas, that is filled before it takes another's place.

        `more` is kept in its `_meta`. Raises `LockedError` if an index of that name exists.
        """
        loading = {"refresh_interval": "-1", "number_of_replicas": 0, "hidden": True}
        try:
            self._create(alias, name, table, meta=more, settings=loading)
        except BadRequestError as error:
            if error.error != "resource_already_exists_exception":
                raise translate(error, f"{self._where}, {name}") from error
            raise LockedError(f"index {name} has just been made by somebody else", where=alias) from None
        except (ApiError, TransportError) as error:
            raise translate(error, self._where) from error

    def usual_settings(self, table: Table) -> dict[str, Any]:
        """What `create_next` puts off."""
        wanted = {"hidden": False, **self.definition(table).settings}
        return {name: wanted[name] for name in ("refresh_interval", "number_of_replicas", "hidden")}

    def create(self, table: Table) -> Index:
        """Make the index with its alias. Raises `IndexForeignError` if an index of that name is in the way."""
        alias = self.alias(table)
        name = names.index(alias)
        try:
            self._create(alias, name, table)
        except BadRequestError as error:
            if error.error != "resource_already_exists_exception":
                raise _refused(table, error) from error
            found = self.find(table)  # perhaps another sink was faster
            if found is None:
                raise _foreign(alias, f"{name} exists without that alias") from None
            return found
        except (ApiError, TransportError) as error:
            raise translate(error, self._where) from error
        return Index(alias=alias, name=name, version=table.version, created=True)

    def _create(
        self,
        alias: str,
        name: str,
        table: Table,
        *,
        meta: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Make an index; `meta` and `settings` are laid over what every index has."""

        def put(*, unsigned_long: bool) -> None:
            self._put_index(alias, name, table, meta or {}, settings or {}, unsigned_long=unsigned_long)

        try:
            put(unsigned_long=True)
        except BadRequestError as error:
            if not _lacks_unsigned_long(error):
                raise
            put(unsigned_long=False)

    def _put_index(
        self,
        alias: str,
        name: str,
        table: Table,
        meta: Mapping[str, Any],
        settings: Mapping[str, Any],
        *,
        unsigned_long: bool,
    ) -> None:
        wanted = self.definition(table)
        mapping = wanted.mapping if unsigned_long else wanted.narrow
        self._client.indices.create(
            index=name,
            aliases={alias: {"is_write_index": True}},
            mappings={**mapping, "_meta": {"tidemark": {**wanted.meta(self._meta(table)), **meta}}},
            settings={**wanted.settings, **settings},
        )

    def definition(self, table: Table) -> Definition:
        """What the index of this version of a table should be."""
        return Definition(self._settings, table)

    def follow(self, index: Index, table: Table, *, older: bool = False) -> Index:
        """Make what the index lacks of a version. Raises `MappingConflictError` for what cannot be changed.

        What is configured need not fit an `older` version of the table: a column that it lacks is null.
        """
        wanted, existing = self.definition(table), self.mappings(index)
        found = [str(difference) for difference in wanted.differences(existing) if not difference.in_place]
        if found := [*([] if older else misfits(wanted.rules, table)), *found]:
            raise _conflict(index, table, "; ".join(found))
        version = max(index.version, table.version)
        if version > index.version or wanted.differences(existing):
            self._put_mapping(index, wanted, existing, version)
        return Index(alias=index.alias, name=index.name, version=version)

    def _put_mapping(self, index: Index, wanted: Definition, existing: Mapping[str, Any], version: int) -> None:
        meta = {**existing["_meta"], "tidemark": {**existing["_meta"]["tidemark"], "table_version": version}}

        def put(*, unsigned_long: bool) -> None:
            properties = wanted.changed(existing, unsigned_long=unsigned_long)
            dynamic = str(wanted.mapping["dynamic"]).lower()
            self._client.indices.put_mapping(index=index.name, properties=properties, meta=meta, dynamic=dynamic)

        try:
            new = wanted.changed(existing, unsigned_long=True)
            self._raise_limit(index, field_count(existing) + field_count({"properties": new}))
            try:
                put(unsigned_long=True)
            except BadRequestError as error:
                if not _lacks_unsigned_long(error):
                    raise
                put(unsigned_long=False)
        except BadRequestError as error:
            raise _conflict(index, wanted.table, reason_of(error)) from error
        except (ApiError, TransportError) as error:
            raise translate(error, f"{self._where}, {index.alias}") from error

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
        limit = int(self.settings(index).get(key, 1000))
        if fields + _FIELD_RESERVE // 2 > limit:
            self._client.indices.put_settings(index=index.name, settings={key: fields + _FIELD_RESERVE})

    def settings(self, index: Index) -> Mapping[str, Any]:
        """The settings that an index has, flat."""
        with self._translated(index.alias):
            found = self._client.indices.get_settings(index=index.name, flat_settings=True).body
        settings: Mapping[str, Any] = found[index.name]["settings"]
        return settings

    def set(self, index: Index, wanted: Mapping[str, Any]) -> None:
        """Change settings of an open index. Raises `ConfigError` for what Elasticsearch refuses."""
        try:
            with self._translated(index.alias):
                self._client.indices.put_settings(index=index.name, settings=wanted)
        except BadRequestError as error:
            raise ConfigError(f"Elasticsearch refuses a setting: {reason_of(error)}", where=index.name) from error

    def refusal(self, wanted: Definition) -> str:
        """Why the cluster would refuse such an index; empty if it would not, or cannot say."""
        return refusal(self._client, wanted, f"{self._where}, {wanted.table.full_name}")

    @contextmanager
    def _translated(self, where: str) -> Iterator[None]:
        """The client's errors as ours, but for a bad request: what it means depends on what was asked."""
        try:
            yield
        except BadRequestError:
            raise
        except (ApiError, TransportError) as error:
            raise translate(error, f"{self._where}, {where}") from error

    def mappings(self, index: Index) -> dict[str, Any]:
        """The mapping that an index has, `_meta` included."""
        found = self._get(index.alias)
        if found is None or index.name not in found:
            raise IndexMissingError("the index or its alias is gone", where=index.alias)
        mappings: dict[str, Any] = found[index.name]["mappings"]
        return mappings

    def about(self, index: Index) -> Mapping[str, Any]:
        """What `_meta` tells of an index."""
        about: Mapping[str, Any] = self.mappings(index)["_meta"]["tidemark"]
        return about

    def note(self, index: Index, more: Mapping[str, Any]) -> None:
        """Add to what `_meta` tells of an index."""
        meta = self.mappings(index)["_meta"]
        with self._translated(index.alias):
            self._client.indices.put_mapping(index=index.name, meta={**meta, "tidemark": {**meta["tidemark"], **more}})

    def _get(self, alias: str, timeout_s: float | None = None) -> dict[str, Any] | None:
        client = self._client if timeout_s is None else self._client.options(request_timeout=timeout_s)
        try:
            for _ in range(2):
                try:
                    return dict(client.indices.get(index=alias, features=["aliases", "mappings"]).body)
                except NotFoundError:
                    if not self._resolves(client, alias):
                        return None
        except (ApiError, TransportError) as error:
            raise translate(error, f"{self._where}, {alias}") from error
        raise UnreachableError("Elasticsearch says that it has no such index, and what it is", where=alias)

    def _resolves(self, client: Elasticsearch, alias: str) -> bool:
        """False if there is no such index. It may have come, or a master that knows of it, since it was asked for.

        A node that has come up and has found no master knows of no index, and says 404 (seen with 9.5), but not here.
        """
        try:
            return any(client.indices.resolve_index(name=alias).body.values())
        except NotFoundError:
            return False

    def _ours(self, alias: str, found: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        seen = self._seen.get(alias)
        if len(found) != 1:
            raise _foreign(alias, f"the alias leads to {len(found)} indices", seen)
        ((name, index),) = found.items()
        if name == alias:
            raise _foreign(alias, "it is an index, not an alias", seen)
        meta = index["mappings"].get("_meta", {}).get("tidemark")
        if meta is None:
            raise _foreign(alias, f"{name} was not made by tidemark", seen)
        check_format(meta, f"_meta of {name}")
        return name, meta

    def _meta(self, table: Table) -> dict[str, Any]:
        about = {"source": self._source, "table": table.full_name, "topic": table.topic, "table_version": table.version}
        return {"format": FORMAT, **about}


def _at_least(found: str, wanted: str) -> bool:
    try:
        return seconds(found) >= seconds(wanted)
    except UsageError:  # no unit that is that long: `60000ms`; or it is not set, and a minute
        return False


def _lacks_unsigned_long(error: BadRequestError) -> bool:
    # "No handler for type [unsigned_long]" until 8.x, "The mapper type [unsigned_long] … does not exist" since 9.
    return error.error == "mapper_parsing_exception" and "[unsigned_long]" in str(error)


def _refused(table: Table, error: BadRequestError) -> ConfigError:
    return ConfigError(
        f"Elasticsearch refuses the index of {table.full_name}: {reason_of(error)}",
        where=f'[sink.tables."{table.full_name}"]',
        hint="See its fields and settings: a type, an analyzer or a setting that the cluster does not have.",
    )


def reason_of(error: ApiError) -> str:
    """What Elasticsearch says of a mapping or a setting that it refuses; no document is in it."""
    found = error.body.get("error") if isinstance(error.body, dict) else None
    return str(found.get("reason")) if isinstance(found, dict) else str(error)


def _foreign(alias: str, why: str, seen: str | None = None) -> IndexForeignError:
    """`seen`: the index of ours that was there before."""
    before = f"Let `{alias}` lead to {seen or 'its index'} again, and to nothing else"
    again = "and start the sink again: what was written elsewhere meanwhile is read again."
    hint = (
        f"{before}, {again}"
        if seen
        else f"{before}, if the sink has written there before ({names.index(alias)}, or a later one), {again}\n"
        'If not, choose another name with [sink.tables."<database>.<table>"] index, or remove what is there.'
    )
    return IndexForeignError(f"`{alias}` is not this pipeline's index: {why}", where=alias, hint=hint)


def _conflict(index: Index, table: Table, diff: str) -> MappingConflictError:
    return MappingConflictError(
        f"the index of {table.full_name} cannot follow version {table.version} as it is configured: {diff}",
        where=index.name,
        hint="Build the index anew from its topic.",
    )
