"""The shapes of all tables' documents, from the settings."""

from __future__ import annotations

from ops.settings import SinkSettings
from schemas.shape import PLAIN, Rules, Shape
from schemas.table import Table


class Shapes:
    """Compiles each table's rules once for each primary key; the sink, a rebuild and the audit take the same."""

    def __init__(self, settings: SinkSettings) -> None:
        """Raises `ConfigError` for a transform that is not there, of whatever table."""
        self._rules = {name: table.rules for name, table in settings.tables.items()}
        self._made: dict[tuple[str, tuple[str, ...]], Shape] = {}
        for rules in self._rules.values():
            Shape(rules)

    def rules(self, table: Table) -> Rules:
        """What is configured of a table."""
        return self._rules.get(table.full_name, PLAIN.rules)

    def of(self, table: Table) -> Shape:
        """A table's shape."""
        if table.full_name not in self._rules:
            return PLAIN
        key = (table.full_name, table.primary_key)
        if key not in self._made:
            self._made[key] = Shape(self._rules[table.full_name], table.primary_key)
        return self._made[key]
