"""One row of MySQL beside its document. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from auditor.differences import shown
from auditor.digest import canonical
from auditor.mysql_table import SqlRow
from auditor.mysql_types import SqlColumn
from schemas.condition import WITHOUT_VALUE
from schemas.errors import DocumentError, InconclusiveError
from schemas.report import Differs
from schemas.shape import Shape
from schemas.table import Protection, Table, folded_column

_HASH = re.compile(r"[0-9a-f]{64}")
_MASK = "***"


class RowCheck:
    """One table's. Columns are compared by their type, what a transform makes of a row as it is.

    No value of a protected column leaves it, as MySQL has it or as a document should not.
    """

    def __init__(self, table: Table, columns: Sequence[SqlColumn], shape: Shape) -> None:
        """Raises `InconclusiveError` where a filter or a transform would need the hashes: their key is cdc's alone."""
        self._table = table
        self._columns = columns
        self._shape = shape
        self._protected = {column.name: column.protection for column in table.columns if column.protection}
        self._check_hashes()

    def _check_hashes(self) -> None:
        hashed = {folded_column(name): name for name, kind in self._protected.items() if kind is Protection.HASH}
        rules = self._shape.rules
        asked = {folded_column(one.column) for one in rules.filter if one.op not in WITHOUT_VALUE}
        needed = sorted(name for folded, name in hashed.items() if rules.transform or folded in asked)
        if needed:
            raise InconclusiveError(
                f"the {'transform' if rules.transform else 'filter'} of {self._table.full_name} sees hashes of "
                f"{', '.join(needed)}, whose key is cdc's alone",
                hint="Use `tidemark audit run --deep`.",
            )

    def exists(self, row: SqlRow) -> bool:
        """False if the table's filter or transform leaves no document of the row."""
        return self._shape.exists(self._event(row))

    def differs(self, row: SqlRow, source: Mapping[str, Any]) -> list[Differs]:
        """Every field that is not what the row asks for; absent is null. Fields of no column are not looked at."""
        if self._shape.rules.transform:
            return self._transformed(row, source)
        found = []
        for column in self._columns:
            field = self._shape.rules.field_of(column.name)
            if field is None:
                continue
            expected, value = row.values[column.name], source.get(field)
            if not self._same(column, row, expected, value):
                found.append(self._differs(column.name, field, expected, value))
        return found

    def _differs(self, column: str, field: str, expected: Any, value: Any) -> Differs:
        protection = self._protected.get(column)
        if protection is None:
            return Differs(field=field, expected=shown(expected), found=shown(value))
        told = "null" if expected is None else "a hash" if protection is Protection.HASH else shown(_MASK)
        right = value is None or _is_protected(protection, value)
        return Differs(field=field, expected=told, found=shown(value) if right else "something else")

    def _transformed(self, row: SqlRow, source: Mapping[str, Any]) -> list[Differs]:
        try:
            fields: dict[str, Any] = orjson.loads(self._shape.json(self._event(row)) or b"{}")
        except DocumentError as error:
            return [Differs(field="", expected=shown(str(error)), found=None)]
        wrong = [name for name, value in fields.items() if canonical(value) != canonical(source.get(name))]
        return [Differs(field=name, expected=shown(fields[name]), found=shown(source.get(name))) for name in wrong]

    def _event(self, row: SqlRow) -> dict[str, Any]:
        """The row as an event of a snapshot would tell it, hashed columns aside."""
        masked = {
            name: _MASK
            for name, protection in self._protected.items()
            if protection is Protection.MASK and row.values.get(name) is not None
        }
        source = {"db": self._table.db, "table": self._table.name, "table_version": self._table.version}
        return {"before": None, "after": {**row.values, **masked}, "source": source, "op": "r"}

    def _same(self, column: SqlColumn, row: SqlRow, expected: Any, value: Any) -> bool:
        protection = self._protected.get(column.name)
        if protection is not None:
            return value is None if expected is None else _is_protected(protection, value)
        if column.same(expected, value):
            return True
        raw = row.raw.get(column.name)
        return raw is not None and value == f"base64:{raw}"


def _is_protected(protection: Protection, value: Any) -> bool:
    if protection is Protection.MASK:
        return bool(value == _MASK)
    return isinstance(value, str) and _HASH.fullmatch(value) is not None
