"""Which changes of a declaration leave the documents of old rows true."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdc.definition import ColumnFacts, Definition, as_logged, changes
from schemas.table import Column, ColumnType, Table


def column(
    name: str, kind: str = "int", *, nullable: bool = True, filled: bool = False, charset: str = ""
) -> ColumnFacts:
    return ColumnFacts(name=name, type=kind, nullable=nullable, filled=filled, charset=charset)


BASE = Definition(columns=(column("id", nullable=False, filled=True), column("a")), primary_key=("id",))


def with_columns(*columns: ColumnFacts) -> Definition:
    return replace(BASE, columns=(BASE.columns[0], *columns))


@pytest.mark.parametrize(
    "now",
    [
        BASE,
        with_columns(column("a"), column("b")),
        with_columns(column("b"), column("a")),
        with_columns(),
        with_columns(column("a", "bigint")),
    ],
    ids=["same", "nullable added", "added before", "dropped", "wider"],
)
def test_harmless(now: Definition) -> None:
    assert changes(BASE, now) == []


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (with_columns(column("a"), column("b", filled=True)), "b was added"),
        (with_columns(column("b")), "renaming"),
        (with_columns(column("a", "varchar(10)")), "from int to varchar(10)"),
        (with_columns(column("a", nullable=False, filled=True)), "NOT NULL"),
        (with_columns(column("a", "int unsigned")), "unsigned"),
        (replace(BASE, primary_key=("id", "a")), "primary key"),
    ],
)
def test_what_documents_do_not_show(now: Definition, words: str) -> None:
    (change,) = changes(BASE, now)
    assert words in change.what


@pytest.mark.parametrize(
    ("old", "new", "fine"),
    [
        ("varchar(10)", "varchar(20)", True),
        ("varchar(20)", "varchar(10)", False),
        ("varchar(20)", "char(20)", False),
        ("binary(4)", "binary(8)", False),
        ("text", "longtext", True),
        ("blob", "text", False),
        ("int unsigned", "bigint unsigned", True),
        ("bigint", "int", False),
        ("decimal(10,2)", "decimal(12,2)", True),
        ("decimal(10,2)", "decimal(12,3)", False),
        ("datetime", "datetime(3)", False),
        ("enum('a','b')", "enum('a','b','c')", True),
        ("enum('a','b')", "enum('b','a')", False),
        ("set('a')", "set('a','b')", True),
        ("tinyint(1)", "tinyint", True),
        ("float", "double", False),
        ("json", "text", False),
    ],
)
def test_widening(old: str, new: str, fine: bool) -> None:
    assert (not changes(with_columns(column("a", old)), with_columns(column("a", new)))) is fine


def test_a_character_set_may_become_utf8mb4() -> None:
    old = with_columns(column("a", "varchar(9)", charset="latin1"))
    assert not changes(old, with_columns(column("a", "varchar(9)", charset="utf8mb4")))
    assert changes(old, with_columns(column("a", "varchar(9)", charset="ascii")))


def test_it_survives_its_own_record() -> None:
    made = replace(BASE, since=3, accepted=("+b",))
    assert Definition.from_json(made.to_json()) == made


def test_layouts_from_the_binlog_compare_too() -> None:
    old = Table(
        db="d", name="t", version=1, primary_key=("id",),
        columns=(Column(name="id", type=ColumnType.INT), Column(name="s", type=ColumnType.VARCHAR, length=40)),
    )  # fmt: skip
    wider = replace(
        old, columns=(old.columns[0], replace(old.columns[1], length=80), Column(name="n", type=ColumnType.INT))
    )
    declared = with_columns(column("s", "varchar(20)"), column("n"))
    assert changes(as_logged(old, declared), as_logged(wider, declared)) == []
    # What an added column holds in old rows is not known without its declaration.
    assert changes(as_logged(old, None), as_logged(wider, None))
