"""Every version of every captured table, as `<source>.__schema` tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import orjson

from ops.control import ControlReader
from ops.debezium_topics import DebeziumTopics
from ops.settings import Settings
from schemas.names import schema_topic
from schemas.table import Table


def schema_key(table: Table) -> bytes:
    """The Kafka key of a table version's record."""
    return orjson.dumps({"table": table.full_name, "version": table.version})


class Catalog:
    """Table versions read so far; `refresh` reads what has come since.

    Of topics that Debezium wrote there is one version, as their records tell it.
    """

    def __init__(self, settings: Settings, client_id: str) -> None:
        self._reader: ControlReader | None = None
        self._others: DebeziumTopics | None = None
        if settings.sink.format == "debezium":
            self._others = DebeziumTopics(settings, client_id)
        else:
            self._reader = ControlReader(settings.kafka, client_id, schema_topic(settings.source.name))
        self._versions: dict[tuple[str, int], Table] = {}
        self._latest: dict[str, Table] = {}

    def refresh(self, *, timeout_s: float = 30) -> None:
        """Read on to the end of the topic. Raises `FormatError` for a record of a newer tidemark."""
        for table in self._others.found(timeout_s) if self._others else ():
            self._add(table)
        if self._reader is None:
            return
        for message in self._reader.to_end(timeout_s=timeout_s):
            key, value = message.key(), message.value()
            if key is None or value is None or "table" not in orjson.loads(key):
                continue  # a DDL record, or one withdrawn
            self._add(Table.from_json(orjson.loads(value)))

    def _add(self, table: Table) -> None:
        self._versions[table.full_name, table.version] = table
        known = self._latest.get(table.full_name)
        if known is None or known.version <= table.version:
            self._latest[table.full_name] = table

    def get(self, full_name: str, version: int) -> Table | None:
        """One version of `database.table`, None if it has not been read (yet)."""
        return self._versions.get((full_name, version))

    def columns(self, full_name: str) -> set[str]:
        """The columns of all versions of `database.table` that were read."""
        versions = (table for (name, _), table in self._versions.items() if name == full_name)
        return {column.name for table in versions for column in table.columns}

    @property
    def latest(self) -> Mapping[str, Table]:
        """`database.table` -> its newest version."""
        return self._latest

    def close(self) -> None:
        for reader in (self._reader, self._others):
            if reader is not None:
                reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
