"""One row of MySQL beside its document. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from auditor.differences import FIELDS_LIMIT, shown
from auditor.digest import canonical
from auditor.mysql_table import SqlRow
from auditor.mysql_types import SqlColumn
from schemas.errors import DocumentError
from schemas.report import Differs
from schemas.shape import Shape
from schemas.table import Protection, Table

_HASH_DIGITS = 64
_MASK = "***"


class RowCheck:
    """One table's. Columns are compared by their type, what a transform makes of a row as it is."""

    def __init__(self, table: Table, columns: Sequence[SqlColumn], shape: Shape) -> None:
        self._table = table
        self._columns = columns
        self._shape = shape
        self._protected = {column.name: column.protection for column in table.columns if column.protection}

    def exists(self, row: SqlRow) -> bool:
        """False if the table's filter or transform leaves no document of the row."""
        return self._shape.exists(self._event(row))

    def differs(self, row: SqlRow, source: Mapping[str, Any]) -> list[Differs]:
        """The fields that are not what the row asks for; absent is null. Fields of no column are not looked at."""
        if self._shape.rules.transform:
            return self._transformed(row, source)
        found = []
        for column in self._columns:
            field = self._shape.rules.field_of(column.name)
            if field is None:
                continue
            expected, value = row.values[column.name], source.get(field)
            if not self._same(column, row, expected, value):
                found.append(Differs(field=field, expected=shown(expected), found=shown(value)))
        return found[:FIELDS_LIMIT]

    def _transformed(self, row: SqlRow, source: Mapping[str, Any]) -> list[Differs]:
        try:
            fields: dict[str, Any] = orjson.loads(self._shape.json(self._event(row)) or b"{}")
        except DocumentError as error:
            return [Differs(field="", expected=shown(str(error)), found=None)]
        wrong = [name for name, value in fields.items() if canonical(value) != canonical(source.get(name))]
        return [
            Differs(field=name, expected=shown(fields[name]), found=shown(source.get(name)))
            for name in wrong[:FIELDS_LIMIT]
        ]

    def _event(self, row: SqlRow) -> dict[str, Any]:
        """The row as an event of a snapshot would tell it."""
        source = {"db": self._table.db, "table": self._table.name, "table_version": self._table.version}
        return {"before": None, "after": dict(row.values), "source": source, "op": "r"}

    def _same(self, column: SqlColumn, row: SqlRow, expected: Any, value: Any) -> bool:
        protection = self._protected.get(column.name)
        if protection is not None:
            return value is None if expected is None else _protected(protection, value)
        if column.same(expected, value):
            return True
        raw = row.raw.get(column.name)
        return raw is not None and value == f"base64:{raw}"


def _protected(protection: Protection, value: Any) -> bool:
    if protection is Protection.MASK:
        return bool(value == _MASK)
    return isinstance(value, str) and len(value) == _HASH_DIGITS  # the key of the hashes is cdc's alone
