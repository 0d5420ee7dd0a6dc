"""What a rebuild works with: the same settings, with a group and an alias of its own."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import orjson

from ops.catalog import Catalog
from ops.settings import Settings
from ops.sink_table import SinkTableSettings
from schemas import names
from schemas.errors import UsageError
from schemas.table import Table
from schemas.transform import load


def newest(settings: Settings, full_name: str) -> Table:
    """The table as it is now. Raises `UsageError` if it is not captured."""
    with Catalog(settings, f"{settings.source.name}-rebuild") as catalog:
        catalog.refresh()
        if full_name not in catalog.latest:
            known = ", ".join(sorted(catalog.latest)) or "none yet"
            raise UsageError(f"`{full_name}` is no captured table", hint=f"Captured: {known}.")
        return catalog.latest[full_name]


def beside(settings: Settings, table: Table, alias: str) -> Settings:
    """The table's index under another alias."""
    tables = settings.sink.tables
    special = tables.get(table.full_name) or SinkTableSettings()
    special = special.model_copy(update={"index": names.next_alias(alias)})
    sink = settings.sink.model_copy(update={"tables": {**tables, table.full_name: special}})
    return settings.model_copy(update={"sink": sink})


def in_group(settings: Settings, group: str) -> Settings:
    """With another consumer group."""
    return settings.model_copy(update={"sink": settings.sink.model_copy(update={"group": group})})


def group_of(settings: Settings, index: str) -> str:
    """The group that fills an index."""
    return f"{settings.sink_group}.rebuild.{index}"


def config_of(settings: Settings, table: Table) -> str:
    """Tells one configuration of a table's documents from another: its section, and the file of its transform."""
    special = settings.sink.tables.get(table.full_name) or SinkTableSettings()
    raw = orjson.dumps(special.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
    if special.transform:
        raw += source_of(special.transform)
    return hashlib.sha256(raw).hexdigest()[:16]


def source_of(transform: str) -> bytes:
    """The file of a transform's module, as it is now; empty for a module without one.

    What the module imports is not seen: the audit of the new index reads its documents instead. Raises `ConfigError`.
    """
    load(transform)
    found = find_spec(transform.partition(":")[0])
    file = Path(found.origin) if found is not None and found.has_location and found.origin else None
    return file.read_bytes() if file is not None and file.is_file() else b""
