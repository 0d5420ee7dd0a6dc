"""The shapes of all tables' documents, from the settings."""

from __future__ import annotations

from ops.settings import SinkSettings
from schemas.debezium import DebeziumReader
from schemas.record import Reader, read
from schemas.shape import PLAIN, Rules, Shape
from schemas.table import ColumnType, Table


def reader_of(settings: SinkSettings) -> Reader:
    """What reads the records of a table's topic; not to be shared by topics."""
    return DebeziumReader().read if settings.format == "debezium" else read


class Shapes:
    """Compiles each table's rules once for each primary key; sink, rebuild and audit take the same."""

    def __init__(self, settings: SinkSettings) -> None:
        """Raises `ConfigError` for a transform that is not there, of whatever table."""
        self._settings = settings
        self._rules = {name: table.rules for name, table in settings.tables.items()}
        self._made: dict[tuple[str, tuple[str, ...], bool], Shape] = {}
        for rules in self._rules.values():
            Shape(rules)

    def rules(self, table: Table) -> Rules:
        """What is configured of a table."""
        return self._rules.get(table.full_name, PLAIN.rules)

    def of(self, table: Table) -> Shape:
        """A table's shape."""
        exact = any(column.type is ColumnType.JSON for column in table.columns)
        if table.full_name not in self._rules and self._settings.format == "tidemark" and not exact:
            return PLAIN
        key = (table.full_name, table.primary_key, exact)
        if key not in self._made:
            self._made[key] = Shape(self.rules(table), table.primary_key, reader_of(self._settings), exact=exact)
        return self._made[key]
