"""The mapping that a table's index should have: its columns, what is configured of them, and `_cdc`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.document import CDC_MAPPING
from schemas.shape import PLAIN, Rules
from schemas.table import Table, folded_column
from schemas.values import field_mapping


def table_mapping(table: Table, rules: Rules = PLAIN.rules, *, unsigned_long: bool = True) -> dict[str, Any]:
    """The whole mapping of a table's index; nothing is ever guessed from a document.

    `unsigned_long`: whether the cluster has that type. A type that is configured for a name that is no column maps what
    the table's transform adds.
    """
    properties: dict[str, Any] = {}
    chosen = {folded_column(name): mapping for name, mapping in rules.types.items()}
    analyzers = {folded_column(name): analyzer for name, analyzer in rules.analyzers.items()}
    mappings = {column.name: field_mapping(column, unsigned_long=unsigned_long) for column in table.columns}
    known = {folded_column(name) for name in mappings}
    added = {name: mapping for name, mapping in rules.types.items() if folded_column(name) not in known}
    for name, mapping in {**mappings, **added}.items():
        field = rules.field_of(name)
        if field is not None:
            folded = folded_column(name)
            properties[field] = _with(analyzers.get(folded), chosen.get(folded, mapping))
    routing = {"_routing": {"required": True}} if rules.routing else {}
    return {"dynamic": False, **routing, "properties": {**properties, "_cdc": dict(CDC_MAPPING)}}


def _with(analyzer: str | None, mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {**mapping, "analyzer": analyzer} if analyzer else dict(mapping)
