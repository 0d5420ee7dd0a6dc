"""Which of the wanted tables cannot be captured faithfully: they are refused by name, the others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from cdc.check_grants import identifier
from cdc.inventory import TableFacts
from cdc.server import Connection, Server, variable
from ops.checks import Finding, Severity
from schemas.table import plain

_LOGGED_FROM = (9, 6)


def cascades_logged(connection: Connection, server: Server) -> bool:
    """True if what a foreign key changes in a child is in the binlog, as it is since MySQL executes it above InnoDB."""
    if server.mariadb or server.version < _LOGGED_FROM:
        return False
    return (variable(connection, "innodb_native_foreign_keys") or "0").upper() in ("0", "OFF")


def table_findings(
    found: Sequence[TableFacts], *, logged: bool, allowed: Callable[[str], bool], where: str
) -> Iterator[Finding]:
    """A WARN for each table that is refused; `table_of` gives its name back."""
    for table in found:
        reason, remedy = _objection(table, logged=logged)
        if not reason:
            continue
        if _allowable(table) and allowed(table.full_name):
            yield Finding(
                check="table-allowed",
                severity=Severity.WARN,
                what=f"{table.full_name} is captured although it {reason} (allow_unsafe)",
                where=where,
            )
        else:
            yield Finding(
                check="table-refused",
                severity=Severity.WARN,
                what=f"{table.full_name} is not captured: it {reason}",
                where=f"{where}, {table.full_name}",
                remedy=remedy,
            )


def refused_tables(
    found: Sequence[TableFacts], *, logged: bool, allowed: Callable[[str], bool]
) -> dict[str, tuple[str, str]]:
    """`database.table` -> why, and what to do about it."""
    return {
        table.full_name: objection
        for table in found
        if (objection := _objection(table, logged=logged))[0] and not (_allowable(table) and allowed(table.full_name))
    }


def _allowable(table: TableFacts) -> bool:
    return table.keyed and plain(table.db)


def _objection(table: TableFacts, *, logged: bool) -> tuple[str, str]:
    """What speaks against a table, and the remedy; two empty texts if nothing does."""
    name = f"{identifier(table.db)}.{identifier(table.name)}"
    allow = f'or, to capture it all the same: [cdc.table."{table.full_name}"] allow_unsafe = true'
    if not plain(table.db):
        return (
            "is in a database with a dot or a backtick in its name, so `database.table` could be two tables",
            "Name the database without one, or leave the table out with [cdc] exclude.",
        )
    if not table.keyed:
        # Without a key no event could ever be told to belong to a document: this cannot be allowed.
        return "has no primary key", f"ALTER TABLE {name} ADD PRIMARY KEY (…);"
    if table.engine.upper() != "INNODB":
        engine = table.engine or "unknown"
        return f"has engine {engine}, which has no transactions", f"ALTER TABLE {name} ENGINE = InnoDB; {allow}"
    if table.cascades and not logged:
        keys = ", ".join(table.cascades)
        return (
            f"is changed by foreign key {keys} without a trace in the binlog",
            f"Drop the cascade from {keys}, or on MySQL 9.6 and later keep innodb_native_foreign_keys off; {allow}",
        )
    return "", ""
