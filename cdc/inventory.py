"""The tables of a server, as information_schema shows them to a user with SELECT."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cdc.definition import ColumnFacts, Definition
from cdc.route import SYSTEM_SCHEMAS, TableFilter
from cdc.server import Connection, query
from schemas.table import full_name

_SYSTEM = ", ".join(f"'{name}'" for name in sorted(SYSTEM_SCHEMAS))

_TABLES = f"""
SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE FROM information_schema.TABLES
WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN ({_SYSTEM}) ORDER BY TABLE_SCHEMA, TABLE_NAME
"""  # noqa: S608  names of our own
_KEYS = f"""
SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS
WHERE INDEX_NAME = 'PRIMARY' AND TABLE_SCHEMA NOT IN ({_SYSTEM}) ORDER BY TABLE_SCHEMA, TABLE_NAME, SEQ_IN_INDEX
"""  # noqa: S608
_CASCADES = """
SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, DELETE_RULE, UPDATE_RULE
FROM information_schema.REFERENTIAL_CONSTRAINTS
WHERE DELETE_RULE IN ('CASCADE', 'SET NULL') OR UPDATE_RULE IN ('CASCADE', 'SET NULL')
"""
_COLUMNS = f"""
SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, CHARACTER_SET_NAME
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA NOT IN ({_SYSTEM})
ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION
"""  # noqa: S608
_EXPRESSIONS = f"""
SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, GENERATION_EXPRESSION
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA NOT IN ({_SYSTEM}) AND GENERATION_EXPRESSION > ''
"""  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """What decides whether a table can be captured. `cascades`: foreign keys by which its rows change unasked."""

    db: str
    name: str
    engine: str
    keyed: bool
    cascades: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        return full_name(self.db, self.name)


def tables(connection: Connection, wanted: TableFilter) -> list[TableFacts]:
    """Every base table that the patterns want, in order of names."""
    keyed = {(row[0], row[1]) for row in query(connection, _KEYS)}
    cascades: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for db, table, constraint, *_ in query(connection, _CASCADES):
        cascades[db, table].append(constraint)
    return [
        TableFacts(db=db, name=name, engine=engine or "", keyed=(db, name) in keyed, cascades=tuple(cascades[db, name]))
        for db, name, engine in query(connection, _TABLES)
        if wanted.matches(db, name)
    ]


def existing(connection: Connection) -> frozenset[str]:
    """Full names of all base tables that the user can see, captured or not."""
    return frozenset(full_name(db, name) for db, name, _ in query(connection, _TABLES))


def definitions(connection: Connection, wanted: Iterable[str]) -> dict[str, Definition]:
    """`database.table` -> how it is declared now, of the wanted tables that exist."""
    names = set(wanted)
    columns: defaultdict[str, list[ColumnFacts]] = defaultdict(list)
    for db, table, *facts in query(connection, _COLUMNS):
        if (name := full_name(db, table)) in names:
            columns[name].append(_column(facts))
    keys: defaultdict[str, list[str]] = defaultdict(list)
    for db, table, column in query(connection, _KEYS):
        keys[full_name(db, table)].append(column)
    return {name: Definition(columns=tuple(facts), primary_key=tuple(keys[name])) for name, facts in columns.items()}


def expressions(connection: Connection, wanted: Iterable[str]) -> dict[str, dict[str, str]]:
    """`database.table` -> generated column -> the expression that it is computed by; column names in backticks."""
    names, found = set(wanted), defaultdict[str, dict[str, str]](dict)
    for db, table, column, expression in query(connection, _EXPRESSIONS):
        if (name := full_name(db, table)) in names:
            found[name][column] = expression.decode() if isinstance(expression, bytes) else expression
    return found


def _column(facts: list[Any]) -> ColumnFacts:
    name, kind, nullable, default, extra, charset = facts
    # MariaDB shows the default of a nullable column without one as the word NULL.
    absent = default is None or default == "NULL"
    return ColumnFacts(
        name=name,
        type=kind.decode() if isinstance(kind, bytes) else kind,
        nullable=nullable == "YES",
        filled=not absent or nullable != "YES" or "GENERATED" in extra.upper(),
        charset=charset or "",
    )
