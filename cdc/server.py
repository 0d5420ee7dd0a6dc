"""What a MySQL server says about itself: version, binlog, GTIDs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import pymysql
from pymysql.constants import ER

from ops.mysql import translate
from schemas.position import GtidSet

Connection: TypeAlias = "pymysql.connections.Connection[Any]"
Row = tuple[Any, ...]

_NO_BINLOG = ER.NO_BINARY_LOGGING
DENIED = frozenset({ER.SPECIFIC_ACCESS_DENIED_ERROR, ER.TABLEACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR})


@contextmanager
def asking(where: str) -> Iterator[None]:
    """Around queries: what goes wrong becomes one of our errors."""
    try:
        yield
    except (pymysql.Error, OSError) as error:
        raise translate(error, where) from error


def query(connection: Connection, sql: str, args: tuple[Any, ...] = ()) -> list[Row]:
    """All rows of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql, args or None)
        return list(cursor.fetchall())


def query_bytes(connection: Connection, sql: str, args: tuple[Any, ...] = ()) -> list[Row]:
    """Like `query`, with text as bytes: SHOW BINLOG EVENTS shows statements in whatever encoding they were sent."""
    connection.use_unicode = False
    try:
        return query(connection, sql, args)
    finally:
        connection.use_unicode = True


def variable(connection: Connection, name: str) -> str | None:
    """A global variable as text; None if this version does not have it."""
    try:
        value = query(connection, f"SELECT @@GLOBAL.{name}")[0][0]
    except pymysql.MySQLError as error:
        if error.args[0] in (ER.UNKNOWN_SYSTEM_VARIABLE, ER.INCORRECT_GLOBAL_LOCAL_VAR):
            return None
        raise
    return "" if value is None else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Who is there. `version`: (9, 7, 4); `uuid` is empty on MariaDB."""

    version: tuple[int, ...]
    text: str
    mariadb: bool
    uuid: str
    gtids: bool

    @classmethod
    def ask(cls, connection: Connection) -> Server:
        text = str(query(connection, "SELECT VERSION()")[0][0])
        mode = variable(connection, "gtid_mode") or ""
        return cls(
            version=_numbers(text),
            text=text,
            mariadb="mariadb" in text.lower(),
            uuid=variable(connection, "server_uuid") or "",
            gtids=mode.upper() == "ON",
        )


def _numbers(text: str) -> tuple[int, ...]:
    digits = text.split("-", maxsplit=1)[0].split(".")
    return tuple(int(part) for part in digits if part.isdigit())


@dataclass(frozen=True, slots=True, kw_only=True)
class BinlogEnd:
    """Where the binlog ends now. `gtid_set`: everything executed, empty without GTIDs.

    `do_db`, `ignore_db`: the databases that are logged alone, or not at all.
    """

    file: str
    pos: int
    gtid_set: str
    do_db: tuple[str, ...] = ()
    ignore_db: tuple[str, ...] = ()


def binlog_end(connection: Connection, server: Server) -> BinlogEnd | None:
    """None if the server writes no binlog."""
    # SHOW MASTER STATUS is gone since 8.4; its successor came with 8.2.
    modern = not server.mariadb and server.version >= (8, 2)
    try:
        rows = query(connection, "SHOW BINARY LOG STATUS" if modern else "SHOW MASTER STATUS")
    except pymysql.MySQLError as error:
        if error.args[0] == _NO_BINLOG:
            return None
        raise
    if not rows:
        return None
    file, pos, do_db, ignore_db, *executed = rows[0]
    gtid_set = str(executed[0]) if server.gtids else ""
    return BinlogEnd(
        file=str(file),
        pos=int(pos),
        gtid_set=str(GtidSet(gtid_set)),
        do_db=_names(do_db),
        ignore_db=_names(ignore_db),
    )


def _names(listed: str | None) -> tuple[str, ...]:
    return tuple(name for name in (listed or "").split(",") if name)


def binlog_files(connection: Connection) -> list[tuple[str, int]]:
    """Name and size in bytes of every file that is kept, oldest first."""
    return [(str(row[0]), int(row[1])) for row in query(connection, "SHOW BINARY LOGS")]


def purged(connection: Connection) -> GtidSet:
    """GTIDs whose transactions the binlog holds no more."""
    return GtidSet(variable(connection, "gtid_purged") or "")
