"""Whether the user may read the binlog and the captured tables; what is missing, as the exact GRANT."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pymysql

from cdc.inventory import TableFacts
from cdc.server import DENIED, Connection, Server, query
from ops.checks import Finding, Severity

_GLOB = re.compile(r"[*?\[]")


def account(connection: Connection) -> str:
    """The account that the server took the user for, quoted: `'tidemark'@'10.%'`."""
    user, _, host = str(query(connection, "SELECT CURRENT_USER()")[0][0]).rpartition("@")
    return f"{_quoted(user)}@{_quoted(host)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name in backticks."""
    return "`" + name.replace("`", "``") + "`"


def replication_findings(connection: Connection, server: Server, where: str) -> Iterator[Finding]:
    """Whether the user may see the binlog's end (REPLICATION CLIENT) and read it (REPLICATION SLAVE)."""
    who = account(connection)
    client = "BINLOG MONITOR" if server.mariadb else "REPLICATION CLIENT"
    replicas = "SHOW SLAVE HOSTS" if server.mariadb else "SHOW REPLICAS"
    for statement, privilege in (("SHOW BINARY LOGS", client), (replicas, "REPLICATION SLAVE")):
        if _denied(connection, statement):
            yield Finding(
                check="grants",
                severity=Severity.FAIL,
                what=f"the user {who} lacks {privilege}",
                where=where,
                remedy=f"GRANT {privilege} ON *.* TO {who};",
            )
        else:
            yield Finding(check="grants", severity=Severity.OK, what=f"{who} has {privilege}", where=where)


def select_findings(
    connection: Connection, found: Sequence[TableFacts], patterns: Sequence[str], where: str
) -> Iterator[Finding]:
    """Whether the user may read the captured tables.

    A table without any privilege on it is not even listed, so databases that are named in full are asked for as well.
    """
    who = account(connection)
    denied = {table.db for table in found if _denied(connection, _probe(table))}
    seen = {table.db for table in found}
    named = {pattern.split(".", 1)[0] for pattern in patterns}
    denied |= {db for db in named - seen if not _GLOB.search(db) and not _may_use(connection, db)}
    for db in sorted(denied):
        yield Finding(
            check="grants",
            severity=Severity.FAIL,
            what=f"the user {who} lacks SELECT on {db}",
            where=where,
            remedy=f"GRANT SELECT ON {identifier(db)}.* TO {who};",
        )


def _probe(table: TableFacts) -> str:
    return f"SELECT 1 FROM {identifier(table.db)}.{identifier(table.name)} LIMIT 0"  # noqa: S608  quoted


def _may_use(connection: Connection, db: str) -> bool:
    # Databases without a privilege are hidden, and so are those that do not exist; only USE tells them apart.
    return not _denied(connection, f"SHOW TABLES FROM {identifier(db)}")


def _denied(connection: Connection, statement: str) -> bool:
    try:
        query(connection, statement)
    except pymysql.MySQLError as error:
        if error.args[0] in DENIED:
            return True
        if not isinstance(error, pymysql.ProgrammingError | pymysql.InternalError) and error.args[0] >= 2000:
            raise
    return False
