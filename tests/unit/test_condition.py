"""Conditions of a filter: what they hold of, what they refuse to compare, which columns they fit."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.condition import OPERATORS, Condition
from schemas.errors import DocumentError
from schemas.table import Column, ColumnType, Protection

HOLDS = [
    ("=", 5, 5), ("=", 5, 5.0), ("=", 5, "5.00"), ("=", 0.1, "0.10"), ("=", 0.1, 0.1), ("=", True, 1),
    ("=", True, True),
    ("=", "a", "a"), ("!=", 5, 6), ("!=", "a", "A"), ("!=", "a", "a "), ("<", 5, "4.999"), ("<=", 5, 5), (">", 5, 6),
    (">", 2**63, 2**63 + 1), (">", 0.1, "0.1000000000000000000000000000001"),
    (">=", "2026-11-21", "2026-11-21T10:26:57.231"),
    ("<", "b", "a"), ("in", (1, 2), 2), ("in", (1, "x"), 1), ("in", (0.1,), "0.1"), ("not in", (1, 2), 3),
    ("contains", "red", ["blue", "red"]), ("is null", None, None), ("is not null", None, 0), ("is not null", None, ""),
]  # fmt: skip
HOLDS_NOT = [
    ("=", 5, 6), ("=", "a", "A"), ("!=", 5, "5.0"), ("<", 5, 5), ("in", (1, 2), 3), ("in", (), 3),
    ("not in", (1, 2), 2), ("contains", "red", []), ("is null", None, 0), ("is null", None, ""),
    ("is not null", None, None), ("=", False, 1),
]  # fmt: skip
WRONG = [("=", 5, "five"), ("=", "five", 5), (">", "a", ["a"]), ("in", (1, 2), "x"), ("contains", "a", "bb")]


def holds(op: Any, bound: Any, value: Any) -> bool:
    return Condition(column="c", op=op, value=bound).compiled()({"id": 1, "c": value})


@pytest.mark.parametrize(("op", "bound", "value"), HOLDS)
def test_it_holds(op: str, bound: Any, value: Any) -> None:
    assert holds(op, bound, value)


@pytest.mark.parametrize(("op", "bound", "value"), HOLDS_NOT)
def test_it_does_not_hold(op: str, bound: Any, value: Any) -> None:
    assert not holds(op, bound, value)


@pytest.mark.parametrize("op", OPERATORS)
def test_null_fulfils_nothing_but_is_null(op: Any) -> None:
    condition = Condition(column="c", op=op, value=("x",) if op.endswith("in") else "x").compiled()
    assert condition({"c": None}) is condition({"id": 1}) is (op == "is null")


def test_columns_have_no_case() -> None:
    condition = Condition(column="Status", value="paid", op="=").compiled()
    assert condition({"STATUS": "paid"})
    assert not condition({"STATUS": "open"})


@pytest.mark.parametrize(("op", "bound", "value"), WRONG)
def test_what_cannot_be_compared_is_said(op: str, bound: Any, value: Any) -> None:
    with pytest.raises(DocumentError, match="filter compares column c with") as caught:
        holds(op, bound, value)
    assert caught.value.kind == "filter_exception"
    assert repr(value) not in str(caught.value)  # a value is nobody's business


@pytest.mark.parametrize(
    ("kind", "op", "value", "said"),
    [
        (ColumnType.INT, "<", 5, ""),
        (ColumnType.INT, "in", (1, 2), ""),
        (ColumnType.INT, "=", "5", "compared with numbers"),
        (ColumnType.DECIMAL, "=", "5.00", "compared with numbers"),
        (ColumnType.VARCHAR, "=", 5, "compared with text"),
        (ColumnType.VARCHAR, "in", ("a", 5), "compared with text"),
        (ColumnType.DATETIME, ">=", "2026-01-01", ""),
        (ColumnType.ENUM, "=", "paid", ""),
        (ColumnType.ENUM, "<", "paid", "does not sort"),
        (ColumnType.TIME, ">", "10:00:00", "does not sort"),
        (ColumnType.SET, "contains", "a", ""),
        (ColumnType.SET, "=", "a", "does not fit a set"),
        (ColumnType.VARCHAR, "contains", "a", "does not fit a varchar"),
        (ColumnType.JSON, "=", "a", "only be asked for null"),
        (ColumnType.JSON, "is not null", None, ""),
    ],
)
def test_which_columns_it_fits(kind: ColumnType, op: Any, value: Any, said: str) -> None:
    fault = Condition(column="c", op=op, value=value).fault(Column(name="c", type=kind))
    assert said in fault
    assert bool(said) == bool(fault)


def test_a_protected_column_is_text() -> None:
    hashed = Column(name="c", type=ColumnType.INT, protection=Protection.HASH)
    assert Condition(column="c", op="=", value="9f86d081").fault(hashed) == ""
    assert Condition(column="c", op="=", value=5).fault(hashed)
    assert Condition(column="c", op="<", value="9f86d081").fault(hashed)
