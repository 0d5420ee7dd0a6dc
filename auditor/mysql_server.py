"""One connection to MySQL, and where its binlog ends."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import pymysql
from pymysql.constants import ER
from pymysql.cursors import SSCursor

from auditor.run_context import Context
from ops import mysql
from schemas.errors import InconclusiveError

_SESSION = "SET time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES'"
_NUMBER = re.compile(r"\d+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The end of the binlog at a moment: everything that a SELECT before it has shown lies below.

    A row can be seen before `@@gtid_executed` has its transaction, but never before the binlog has it.
    """

    server_uuid: str
    file: str
    pos: int
    gtid_set: str

    def reached(self, file: str, pos: int) -> bool:
        """True if a place of the same server's binlog is at the mark, or past it."""
        return (_number(file), pos) >= (_number(self.file), self.pos)


class Rows(NamedTuple):
    """Rows of a statement. `whole` False: there may be more of them than these."""

    rows: list[tuple[Any, ...]]
    size_bytes: int
    whole: bool


class MysqlServer:
    """The source. Times are shown in UTC."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._where = context.settings.source.where
        self._connection = self._connect()
        self._version = str(self.ask("SELECT VERSION()")[0][0])
        self.mariadb = "mariadb" in self._version.lower()

    def ask(self, sql: str, args: tuple[Any, ...] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a statement. Raises one of our errors."""
        self._context.pulse()
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, args)
                return list(cursor.fetchall())
        except (pymysql.Error, OSError) as error:
            raise mysql.translate(error, self._where) from error

    def has_no(self, table: str) -> bool:
        """True if there is no such table (`db`.`table`, quoted). Raises one of our errors where we may not know."""
        self._context.pulse()
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(f"SELECT 1 FROM {table} LIMIT 0")  # noqa: S608  quoted by the caller
        except (pymysql.Error, OSError) as error:
            # Who has no right to read a table is told that, whether it is there or not.
            if isinstance(error, pymysql.Error) and error.args[:1] in ((ER.NO_SUCH_TABLE,), (ER.BAD_DB_ERROR,)):
                return True
            raise mysql.translate(error, self._where) from error
        return False

    def page(self, sql: str, most_bytes: int) -> Rows:
        """The first rows of a statement, until they are so many bytes or all. Raises one of our errors."""
        self._context.pulse()
        rows: list[tuple[Any, ...]] = []
        size = 0
        try:
            cursor = self._connection.cursor(SSCursor)
            cursor.execute(sql)
            while (row := cursor.fetchone()) is not None:
                rows.append(row)
                size += sum(len(cell) for cell in row if isinstance(cell, (str, bytes)))
                if size >= most_bytes:
                    self._leave()
                    self._connection.close()
                    self._connection = self._connect()
                    return Rows(rows, size, False)
            cursor.close()
        except (pymysql.Error, OSError) as error:
            self._leave()
            raise mysql.translate(error, self._where) from error
        return Rows(rows, size, True)

    def _leave(self) -> None:
        """Of a connection that is given up: else pymysql would read all the rows that are still to come."""
        result = self._connection._result  # noqa: SLF001  nothing else tells it
        if result is not None:
            result.unbuffered_active = False

    def _connect(self) -> pymysql.connections.Connection[Any]:
        return mysql.connect(self._context.settings.source, init_command=_SESSION)

    def mark(self) -> Mark:
        """Where the binlog ends now."""
        # SHOW MASTER STATUS is gone since 8.4; its successor came with 8.2.
        modern = not self.mariadb and tuple(map(int, re.findall(r"\d+", self._version)[:2])) >= (8, 2)
        rows = self.ask("SHOW BINARY LOG STATUS" if modern else "SHOW MASTER STATUS")
        if not rows:
            raise InconclusiveError("MySQL writes no binlog, so nobody can say what has reached the index")
        uuid = "" if self.mariadb else str(self.ask("SELECT @@server_uuid")[0][0])
        executed = "" if self.mariadb else str(rows[0][4])
        return Mark(server_uuid=uuid, file=str(rows[0][0]), pos=int(rows[0][1]), gtid_set=executed)

    def executed(self) -> str:
        """The GTIDs of all that is committed; empty where there are none."""
        return "" if self.mariadb else str(self.ask("SELECT @@GLOBAL.gtid_executed")[0][0])

    def files(self) -> list[str]:
        """The binlog's files, oldest first."""
        return [str(row[0]) for row in self.ask("SHOW BINARY LOGS")]

    def close(self) -> None:
        self._connection.close()


def _number(file: str) -> int:
    found = _NUMBER.search(file)
    return int(found[0]) if found else 0
