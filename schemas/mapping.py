"""The mapping that a table's index should have: its columns, what is configured of them, and `_cdc`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.document import CDC_MAPPING
from schemas.shape import PLAIN, Rules
from schemas.table import Column, ColumnType, Table, folded_column
from schemas.values import field_mapping

#: Columns that nobody has told the type of, by what their values are in JSON.
_OPEN: Mapping[str, Any] = {
    "dynamic": True,
    "date_detection": False,
    "dynamic_templates": [
        {"texts": {"match_mapping_type": "string", "mapping": field_mapping(Column(name="", type=ColumnType.VARCHAR))}},
        {"numbers": {"match_mapping_type": "double", "mapping": {"type": "double"}}},
        {"values": {"match_mapping_type": "object", "mapping": {"type": "object", "enabled": False}}},
    ],
}


def table_mapping(table: Table, rules: Rules = PLAIN.rules, *, unsigned_long: bool = True) -> dict[str, Any]:
    """The whole mapping of a table's index; nothing is guessed from a document, unless the table is open.

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
    dynamic = _OPEN if table.open else {"dynamic": False}
    return {**dynamic, **routing, "properties": {**properties, "_cdc": dict(CDC_MAPPING)}}


def _with(analyzer: str | None, mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {**mapping, "analyzer": analyzer} if analyzer else dict(mapping)
