"""A backlog in the binlog, with a mark behind it: the row of table `done` that is captured last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.capture.cases import PER_TRANSACTION, Case
from bench.servers import Mysql

NUMBERS = "bench_numbers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in the binlog."""

    file: str
    pos: int
    gtid_set: str
    server_uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What MySQL says about the captured rows: their count, and sums over `customer` and `CRC32(name)`."""

    rows: int
    customers: int
    names: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """`rows` changes of `<db>.events` between two places, and after them row 1 of `<db>.done`."""

    case: Case
    db: str
    rows: int
    start: Place
    end: Place
    binlog_bytes: int
    truth: Truth


@contextmanager
def backlog(mysql: Mysql, case: Case, rows: int, db: str, prepared: Callable[[], None]) -> Iterator[Backlog]:
    """Make the tables, call `prepared`, then write. The database is dropped at the end."""
    connection = mysql.connect()
    try:
        with connection.cursor() as cursor:
            _numbers(cursor)
            cursor.execute(f"CREATE DATABASE {db} CHARACTER SET utf8mb4")
            cursor.execute(f"USE {db}")
            cursor.execute(case.table)
            cursor.execute("CREATE TABLE done (id INT NOT NULL PRIMARY KEY)")
            for statement in case.before(rows):
                cursor.execute(statement)
            prepared()
            cursor.execute("FLUSH BINARY LOGS")
            start = _here(cursor)
            for statement in case.backlog(rows):
                cursor.execute(statement)
            cursor.execute("INSERT INTO done VALUES (1)")
            end = _here(cursor)
            size = _bytes_between(cursor, start, end)
            truth = _truth(cursor)
        yield Backlog(case=case, db=db, rows=rows, start=start, end=end, binlog_bytes=size, truth=truth)
    finally:
        connection.cursor().execute(f"DROP DATABASE IF EXISTS {db}")
        connection.close()


def forget(mysql: Mysql) -> None:
    """Purge the binlogs of a server of our own: a case may have written gigabytes."""
    connection = mysql.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("FLUSH BINARY LOGS")
            cursor.execute("PURGE BINARY LOGS TO %s", (_here(cursor).file,))
    finally:
        connection.close()


def _numbers(cursor: Any) -> None:
    cursor.execute(f"CREATE DATABASE IF NOT EXISTS {NUMBERS}")
    cursor.execute(f"CREATE TABLE IF NOT EXISTS {NUMBERS}.numbers (n INT NOT NULL PRIMARY KEY)")
    values = ",".join(f"({number})" for number in range(PER_TRANSACTION))
    cursor.execute(f"INSERT IGNORE INTO {NUMBERS}.numbers VALUES {values}")


def _here(cursor: Any) -> Place:
    cursor.execute("SHOW BINARY LOG STATUS")
    file, pos, *_ = cursor.fetchone()
    cursor.execute("SELECT @@gtid_executed, @@server_uuid")
    gtids, uuid = cursor.fetchone()
    return Place(file=file, pos=pos, gtid_set=gtids.replace("\n", ""), server_uuid=uuid)


def _bytes_between(cursor: Any, start: Place, end: Place) -> int:
    cursor.execute("SHOW BINARY LOGS")
    sizes = {name: int(size) for name, size, *_ in cursor.fetchall() if start.file <= name < end.file}
    return sum(sizes.values()) + end.pos - start.pos


def _truth(cursor: Any) -> Truth:
    cursor.execute("SELECT COUNT(*), SUM(customer), SUM(CRC32(name)) FROM events")
    rows, customers, names = map(int, cursor.fetchone())
    return Truth(rows=rows, customers=customers, names=names)
