"""What would become of a table's index."""

from __future__ import annotations

from typing import Any

from schemas import names
from schemas.errors import IndexForeignError
from schemas.mapping import table_mapping
from schemas.table import Table
from sink.index import Indices
from sink.mapping import conflicts, field_type, missing


def plan_of(indices: Indices, table: Table) -> dict[str, Any]:
    """One table of `tidemark sink mapping plan --json`.

    `state`: `create`, `current`, `update` (fields are added), `conflict` (it has to be built anew), or `foreign`.
    """
    mapping = table_mapping(table)
    alias = indices.alias(table)
    about = {"table": table.full_name, "version": table.version, "topic": table.topic, "alias": alias}
    try:
        index = indices.find(table)
    except IndexForeignError as error:
        return {**about, "index": alias, "state": "foreign", "diff": [error.what], "mapping": mapping}
    if index is None:
        return {**about, "index": names.index(alias), "state": "create", "diff": [], "mapping": mapping}
    existing = indices.mappings(index)["properties"]
    wanted = mapping["properties"]
    wrong = conflicts(existing, wanted, table_mapping(table, unsigned_long=False)["properties"])
    new = [f"{name}: new, {field_type(field)}" for name, field in missing(existing, wanted).items()]
    state = "conflict" if wrong else "update" if new else "current"
    return {**about, "index": index.name, "state": state, "diff": [*wrong, *new], "mapping": mapping}
