"""Whether the changes of captured databases reach the binlog at all: filters, and what a replica applies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pymysql

from cdc.check_grants import account
from cdc.server import DENIED, Connection, Server, binlog_end, query, variable
from ops.checks import Finding, Severity

_GLOBS = "*?["
_OFF = ("0", "OFF")


def named_databases(found: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Databases of tables that exist, and those that patterns like `shop.*` name in full."""
    named = {pattern.split(".", 1)[0] for pattern in patterns}
    return sorted({*found, *(db for db in named if not any(glob in db for glob in _GLOBS))})


def logged_findings(connection: Connection, server: Server, captured: Iterable[str], where: str) -> Iterator[Finding]:
    """`captured`: names of databases. What the user may not see is a finding of its own."""
    yield from _filter_findings(connection, server, captured, where)
    yield from _replica_findings(connection, server, where)


def _filter_findings(connection: Connection, server: Server, captured: Iterable[str], where: str) -> Iterator[Finding]:
    try:
        end = binlog_end(connection, server)
    except pymysql.MySQLError as error:
        if error.args[0] not in DENIED:
            raise
        return  # the missing grant is reported among the grants
    if end is None:
        return
    # With any of do_db, the others are not even looked at.
    left_out = sorted(db for db in captured if (db not in end.do_db if end.do_db else db in end.ignore_db))
    option = "binlog_do_db" if end.do_db else "binlog_ignore_db"
    for db in left_out:
        yield Finding(
            check=option,
            severity=Severity.FAIL,
            what=f"{option} keeps the captured database {db} out of the binlog",
            where=where,
            remedy=_remedy(option, db),
        )
    if (end.do_db or end.ignore_db) and not left_out:
        yield Finding(
            check=option,
            severity=Severity.WARN,
            what=f"{option} is set: a TRUNCATE, DROP or ALTER of a captured table is not in the binlog if it is given "
            "while another database is the default one",
            where=where,
            remedy=f"Remove every `{option.replace('_', '-')}` line below [mysqld] in my.cnf and restart mysqld",
        )


def _remedy(option: str, db: str) -> str:
    line = option.replace("_", "-")
    if option == "binlog_do_db":
        return f"Add `{line} = {db}`, or remove every `{line}` line, below [mysqld] in my.cnf and restart mysqld"
    return f"Remove `{line} = {db}` below [mysqld] in my.cnf and restart mysqld"


def _replica_findings(connection: Connection, server: Server, where: str) -> Iterator[Finding]:
    """MySQL renamed the variable in 8.0.26 and the statement in 8.0.22; MariaDB and older ones have the old names."""
    name = "log_replica_updates"
    value = variable(connection, name)
    if value is None:
        name = "log_slave_updates"
        value = variable(connection, name)
    if value is None or value.upper() not in _OFF:
        return
    modern = not server.mariadb and server.version >= (8, 0, 22)
    try:
        sources = query(connection, "SHOW REPLICA STATUS" if modern else "SHOW SLAVE STATUS")
    except pymysql.MySQLError as error:
        if error.args[0] not in DENIED:
            raise
        yield _unseen(connection, server, name, where)
        return
    severity = Severity.FAIL if sources else Severity.OK
    found = "the server is a replica, and what it applies is not in its binlog" if sources else "it is no replica"
    remedy = f"Add `{name.replace('_', '-')} = ON` below [mysqld] in my.cnf and restart mysqld" if sources else ""
    yield Finding(check=name, severity=severity, what=f"{name} = OFF: {found}", where=where, remedy=remedy)


def _unseen(connection: Connection, server: Server, name: str, where: str) -> Finding:
    privilege = "SLAVE MONITOR" if server.mariadb else "REPLICATION CLIENT"
    return Finding(
        check=name,
        severity=Severity.WARN,
        what=f"{name} = OFF: if the server is a replica, what it applies is not in its binlog, and the user may not "
        "see whether it is one",
        where=where,
        remedy=f"GRANT {privilege} ON *.* TO {account(connection)};",
    )
