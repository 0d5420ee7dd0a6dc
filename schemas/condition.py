"""One condition of a table's filter: a column's value beside one from the configuration."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, get_args

from schemas.errors import DocumentError
from schemas.table import Column, ColumnType, folded_column

Scalar = bool | int | float | str
Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in", "not in", "contains", "is null", "is not null"]

OPERATORS: tuple[str, ...] = get_args(Operator)
WITHOUT_VALUE = ("is null", "is not null")
WITH_LIST = ("in", "not in")
_ORDERED = ("<", "<=", ">", ">=")
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip

_NUMBERS = {
    ColumnType.TINYINT, ColumnType.SMALLINT, ColumnType.MEDIUMINT, ColumnType.INT, ColumnType.BIGINT,
    ColumnType.DECIMAL, ColumnType.FLOAT, ColumnType.DOUBLE, ColumnType.YEAR, ColumnType.BIT,
}  # fmt: skip
#: Types whose text, as events have it, sorts like the value.
_SORTED = {
    ColumnType.CHAR, ColumnType.VARCHAR, ColumnType.TEXT, ColumnType.DATE, ColumnType.DATETIME, ColumnType.TIMESTAMP,
}  # fmt: skip
_OPAQUE = {ColumnType.JSON, ColumnType.GEOMETRY, ColumnType.VECTOR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`value` is a tuple for `in` and `not in`, None for `is null` and `is not null`.

    As in SQL, a null fulfils nothing but `is null`; a column that a row lacks is null. Text is compared by code point,
    numbers by value, also those that events have as text (DECIMAL); true is 1.
    """

    column: str
    op: Operator
    value: Scalar | tuple[Scalar, ...] | None = None

    def compiled(self) -> Callable[[Mapping[str, Any]], bool]:
        """A function of a row. It raises `DocumentError` for a value that cannot be compared with this one."""
        name, judge = self.column, self._judge()
        folded = folded_column(name)
        wants_null = self.op == "is null"

        def holds(row: Mapping[str, Any]) -> bool:
            value = row.get(name)
            if value is None and name not in row:
                value = next((row[other] for other in row if folded_column(other) == folded), None)
            if value is None:
                return wants_null
            try:
                return judge(value)
            except (TypeError, InvalidOperation):
                raise DocumentError(
                    f"the filter compares column {name} with {self.value!r}, which its value cannot be compared with",
                    kind="filter_exception",
                ) from None

        return holds

    def _judge(self) -> Callable[[Any], bool]:
        if self.op in WITHOUT_VALUE:
            return lambda _value: self.op == "is not null"
        if isinstance(self.value, tuple):
            tests = [_comparison("=", bound) for bound in self.value]
            wanted = self.op == "in"
            return lambda value: any(test(value) for test in tests) is wanted
        assert self.value is not None  # noqa: S101  the configuration has been checked
        if self.op == "contains":
            return lambda value: self.value in _labels(value)
        return _comparison(self.op, self.value)

    def fault(self, column: Column) -> str:
        """Why it cannot be asked of such a column; empty if it can."""
        if self.op in WITHOUT_VALUE:
            return ""
        kind = column.type
        if column.protection is None and kind in _OPAQUE:
            return f"a {kind.value} column can only be asked for null"
        if (self.op == "contains") != (column.protection is None and kind is ColumnType.SET):
            return f"`{self.op}` does not fit a {kind.value} column"
        bounds = self.value if isinstance(self.value, tuple) else (self.value,)
        number = column.protection is None and kind in _NUMBERS
        if any(isinstance(bound, str) == number for bound in bounds):
            return f"a {kind.value} column is compared with {'numbers' if number else 'text'}"
        if self.op in _ORDERED and not number and (column.protection or kind not in _SORTED):
            return f"the text of a {kind.value} column does not sort as its values do"
        return ""


def _comparison(op: str, bound: Scalar) -> Callable[[Any], bool]:
    compare = _COMPARE[op]
    if isinstance(bound, str):
        return lambda value: compare(_text(value), bound)
    exact: Scalar | Decimal = Decimal(repr(bound)) if isinstance(bound, float) else bound

    def number(value: Any) -> bool:
        if isinstance(value, str):
            return compare(Decimal(value), exact)
        if isinstance(value, (int, float)):
            return compare(value, bound)
        raise TypeError

    return number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _labels(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value
