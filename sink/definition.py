"""What a table's index should be: its mapping and its settings, as the table and the configuration ask for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ops.settings import SinkSettings
from ops.sink_table import flat
from schemas.mapping import table_mapping
from schemas.shape import PLAIN, Rules
from schemas.table import Table
from sink.mapping import Difference, changed, differences, field_count, same

# Elasticsearch forgets a delete's version after this time; see sink.lease.
GC_DELETES = "5m"
_FIELD_RESERVE = 1000
_SETTING = "settings."
# Settings that an open index cannot change.
_STATIC = (
    "analysis.", "codec", "mode", "number_of_routing_shards", "number_of_shards", "routing_partition_size", "shard.",
    "similarity.", "sort.", "store.",
)  # fmt: skip


class Definition:
    """One version of a table."""

    def __init__(self, settings: SinkSettings, table: Table) -> None:
        special = settings.tables.get(table.full_name)
        self.table = table
        self.rules: Rules = special.rules if special else PLAIN.rules
        self.mapping = table_mapping(table, self.rules)
        self.narrow = table_mapping(table, self.rules, unsigned_long=False)  # where the cluster lacks unsigned_long
        self.special_settings = dict(flat(special.settings)) if special else {}
        self._settings = settings

    @property
    def settings(self) -> dict[str, Any]:
        """Of a new index."""
        return {
            "number_of_shards": self._settings.shards,
            "number_of_replicas": self._settings.replicas,
            "refresh_interval": self._settings.refresh_interval,
            "gc_deletes": GC_DELETES,
            "mapping.total_fields.limit": field_count(self.mapping) + _FIELD_RESERVE,
            **self.special_settings,
        }

    def meta(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """`_meta.tidemark` with what has to be known of how the documents were written."""
        told = {"routing": sorted(self.rules.routing), "rules": self.rules.mark}
        return {**about, **{name: value for name, value in told.items() if value}}

    def made_by_others(self, existing: Mapping[str, Any]) -> bool:
        """True if documents may be there that these rules would not make; `existing`: the mapping with its `_meta`."""
        return bool(existing["_meta"]["tidemark"].get("rules", "") != self.rules.mark)

    def differences(self, existing: Mapping[str, Any]) -> list[Difference]:
        """What the mapping of an index (`_meta` included) lacks."""
        found = differences(existing.get("properties", {}), self.mapping["properties"], self.narrow["properties"])
        if not same(existing.get("dynamic"), self.mapping["dynamic"]):
            found.append(
                Difference(
                    field="dynamic",
                    has=str(existing.get("dynamic", "true")),
                    needs=str(self.mapping["dynamic"]).lower(),
                    in_place=True,
                )
            )
        has, needs = existing["_meta"]["tidemark"].get("routing", []), sorted(self.rules.routing)
        if has != needs:
            found.append(Difference(field="_routing", has=_columns(has), needs=_columns(needs), in_place=False))
        return found

    def changed(self, existing: Mapping[str, Any], *, unsigned_long: bool) -> dict[str, Any]:
        """The fields to put, whole."""
        first, second = (self.mapping, self.narrow) if unsigned_long else (self.narrow, self.mapping)
        return changed(existing.get("properties", {}), first["properties"], second["properties"])

    def settings_differences(self, existing: Mapping[str, Any]) -> list[Difference]:
        """What is configured of the index's settings and is another; `existing`: flat, with `index.` before each."""
        return [
            Difference(
                field=f"{_SETTING}{name}",
                has=str(existing.get(f"index.{name}", "the default")),
                needs=str(value),
                in_place=not name.startswith(_STATIC),
            )
            for name, value in self.special_settings.items()
            if not same(existing.get(f"index.{name}"), value)
        ]

    def dynamic_settings(self, found: Iterable[Difference]) -> dict[str, Any]:
        """Those of the differences that are settings and can be changed as the index is."""
        names = {difference.field.removeprefix(_SETTING) for difference in found if difference.in_place}
        return {f"index.{name}": value for name, value in self.special_settings.items() if name in names}

    @property
    def own_analysis(self) -> set[str]:
        """The names of analyzers and normalizers that the settings define."""
        parts = [name.split(".") for name in self.special_settings]
        return {part[2] for part in parts if part[0] == "analysis" and part[1] in ("analyzer", "normalizer")}


def _columns(names: list[str]) -> str:
    return f"by {', '.join(names)}" if names else "by id"
