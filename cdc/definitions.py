"""What `<source>.__schema` keeps of tables, so that a restart forgets none: layouts, declarations judged last."""

from __future__ import annotations

import orjson

from cdc.definition import Definition
from ops.catalog import Catalog
from ops.control import ControlReader
from ops.settings import Settings
from schemas.names import schema_topic
from schemas.table import Table

Note = tuple[bytes, bytes | None]


def definition_note(full_name: str, definition: Definition | None) -> Note:
    """The record of a table's declaration; None takes it back."""
    key = orjson.dumps({"definition": full_name})
    return key, orjson.dumps(definition.to_json()) if definition is not None else None


def read_definitions(settings: Settings) -> dict[str, Definition]:
    """`database.table` -> its declaration. Raises `FormatError` for a record of a newer tidemark."""
    found: dict[str, Definition] = {}
    source = settings.source.name
    with ControlReader(settings.kafka, f"{source}-definitions", schema_topic(source)) as reader:
        for message in reader.to_end():
            key, value = message.key(), message.value()
            name = orjson.loads(key).get("definition") if key is not None else None
            if name is None:
                continue
            if value is None:
                found.pop(name, None)
            else:
                found[name] = Definition.from_json(orjson.loads(value))
    return found


def read_layouts(settings: Settings) -> dict[str, Table]:
    """`database.table` -> its newest layout, of every table that events were published of."""
    with Catalog(settings, f"{settings.source.name}-cdc-catalog") as catalog:
        catalog.refresh()
        return dict(catalog.latest)
