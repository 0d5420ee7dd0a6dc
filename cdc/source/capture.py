"""Which table maps are captured, and what is compiled for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from cdc.source import charset_key
from cdc.source.protection import UNPROTECTED, Protections, TableProtection
from cdc.source.protection_check import check_layout
from cdc.source.rows import RowDecoder, Values
from cdc.source.seam import Router
from cdc.source.tablemap import Layout, TableName, WireColumn, parse_layout, table_name
from schemas.errors import RowMetadataError, UndecodableError, UnsafeError
from schemas.key import kafka_key, partition_of
from schemas.table import Table

_CACHED_LAYOUTS = 4096


class Captured(NamedTuple):
    """A captured table: its layout as events show it and as it is to be decoded, and where its events go."""

    table: Table
    columns: tuple[WireColumn, ...]
    rows: RowDecoder
    partitions: int
    protection: TableProtection | None

    def key(self, values: Values) -> bytes:
        """The Kafka key of a row."""
        return kafka_key({name: values[name] for name in self.table.primary_key})

    def partition(self, key: bytes) -> int:
        return partition_of(key, self.partitions)


class Tables:
    """The tables that rows events speak of, by the table id of the latest TABLE_MAP.

    Ids are used again after a restart of the server; what is compiled is kept by the bytes of the layout instead.
    """

    def __init__(
        self,
        router: Router,
        known: Mapping[str, Table],
        versions: dict[str, int],
        protections: Protections = UNPROTECTED,
    ) -> None:
        self._router = router
        self._protections = protections
        self._versions = versions
        self._ids: dict[int, Captured | None] = {}
        self._compiled: dict[tuple[str, str, bytes], Captured] = {}
        self.known = dict(known)
        self.new: list[Table] = []

    def map(self, body: bytes) -> None:
        """A TABLE_MAP event."""
        name = table_name(body)
        self._ids[name.table_id] = self.captured(name, body)

    def captured(self, name: TableName, body: bytes) -> Captured | None:
        """What is compiled for a TABLE_MAP event; None if the table is not wanted."""
        return self._captured(name, body) if self._router.captures(name.db, name.table) else None

    def of(self, table_id: int) -> Captured | None:
        """The captured table of an id; None if it is not wanted."""
        try:
            return self._ids[table_id]
        except KeyError:
            raise UndecodableError(f"rows of table id {table_id} without a table map before them") from None

    def forget(self) -> None:
        """At the end of a statement, and in a new file, ids lose their meaning."""
        self._ids.clear()

    def _captured(self, name: TableName, body: bytes) -> Captured:
        key = (name.db, name.table, body[name.at :])
        found = self._compiled.get(key)
        if found and self.known.get(found.table.full_name) is found.table:
            return found
        if len(self._compiled) >= _CACHED_LAYOUTS:
            self._compiled.clear()
        self._compiled[key] = compiled = self._compile(name, parse_layout(body, name.at))
        return compiled

    def _compile(self, name: TableName, layout: Layout) -> Captured:
        _check(name, layout)
        topic = self._router.topic(name.db, name.table)
        columns = tuple(wire.column for wire in layout.columns)
        protection = self._protections.of(name.db, name.table)
        if protection is not None:
            check_layout(name.db, name.table, protection, columns, layout.primary_key)
            columns = protection.shown(columns)
        table = Table(
            db=name.db, name=name.table, version=0, columns=columns, primary_key=layout.primary_key, topic=topic
        )
        wires = tuple(_in_key(wire) if wire.column.name in layout.primary_key else wire for wire in layout.columns)
        rows = RowDecoder(wires, protection)
        return Captured(self._version(table), wires, rows, self._router.partitions(topic), protection)

    def _version(self, table: Table) -> Table:
        latest = self.known.get(table.full_name)
        if latest is not None and latest.same_layout(table):
            return latest
        # A version that was given out before a reconnect, but perhaps never published, is not given out twice.
        highest = max(latest.version if latest else 0, self._versions.get(table.full_name, 0))
        made = Table(
            db=table.db,
            name=table.name,
            version=highest + 1,
            columns=table.columns,
            primary_key=table.primary_key,
            topic=table.topic,
        )
        self._versions[made.full_name] = made.version
        self.known[made.full_name] = made
        self.new.append(made)
        return made


def _in_key(wire: WireColumn) -> WireColumn:
    return wire._replace(column=replace(wire.column, charset=charset_key.in_key(wire.column.charset)))


def _check(name: TableName, layout: Layout) -> None:
    full_name = f"{name.db}.{name.table}"
    if not layout.named:
        raise RowMetadataError(
            f"the binlog holds no column names for {full_name}",
            hint="SET PERSIST binlog_row_metadata = 'FULL'; what was logged before cannot be read by name: "
            "`tidemark cdc position reset --to latest` passes over it (docs/errors/row-metadata.md).",
        )
    if not layout.primary_key:
        raise UnsafeError(
            f"the captured table {full_name} has no primary key",
            hint=f"ALTER TABLE `{name.db}`.`{name.table}` ADD PRIMARY KEY (…). Rows from before it had one cannot be "
            "captured: name it in [cdc] exclude until the position is past them.",
        )
