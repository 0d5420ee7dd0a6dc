"""A seeded writer: insert, update, delete, key change, re-insert on a small hot key set, multi-row transactions.

It survives a server that goes away: an unacknowledged commit is unknown, never failed.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any, Self

import pymysql

TABLES = ("items", "pairs")
SCHEMA = (
    "CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(80), n INT NOT NULL, body TEXT)",
    (
        "CREATE TABLE pairs (a INT NOT NULL, b VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,"
        " v DECIMAL(10,2), PRIMARY KEY (a, b))"
    ),
)
_HOT = 150


class Workload:
    """Writes to one database until told to stop. `commits`: acknowledged ones."""

    def __init__(self, connect: Callable[[], Any], db: str, seed: int, *, pause_s: float = 0.0) -> None:
        self._connect = connect
        self._db = db
        self._random = random.Random(seed)
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"workload-{seed}")
        self.commits = 0
        self.error: Exception | None = None

    @staticmethod
    def create(connection: Any, db: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS `{db}`")
            cursor.execute(f"CREATE DATABASE `{db}` CHARACTER SET utf8mb4")
            cursor.execute(f"USE `{db}`")
            for statement in SCHEMA:
                cursor.execute(statement)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """Stop writing; raises what made the writer fail, if anything did."""
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error

    def await_commits(self, count: int, timeout_s: float = 180) -> None:
        """Wait until so many more transactions are committed."""
        goal, deadline = self.commits + count, time.monotonic() + timeout_s
        while self.commits < goal:
            assert self._thread.is_alive(), self.error
            assert time.monotonic() < deadline, f"{self.commits} of {goal} commits"
            time.sleep(0.01)

    def _run(self) -> None:
        connection = None
        while not self._stop.is_set():
            try:
                connection = connection or self._connect()
                self._transaction(connection)
                self.commits += 1
            except (pymysql.OperationalError, pymysql.InterfaceError, OSError):
                connection = None
                self._stop.wait(0.1)
            except Exception as error:  # noqa: BLE001  handed to the test by `finish`
                self.error = error
                return
            if self._pause_s:
                self._stop.wait(self._pause_s)

    def _transaction(self, connection: Any) -> None:
        connection.begin()
        with connection.cursor() as cursor:
            cursor.execute(f"USE `{self._db}`")
            for _ in range(self._random.choice((1, 1, 1, 3, 20))):
                self._change(cursor)
        if self._random.random() < 0.03:
            connection.rollback()
        else:
            connection.commit()

    def _change(self, cursor: Any) -> None:
        pick, number = self._random.random(), self._random.randrange(_HOT)
        if pick < 0.35:
            body = "ä" * self._random.randrange(200)
            sql = "INSERT INTO items VALUES (%s,%s,%s,%s) ON DUPLICATE KEY UPDATE n=n+1, body=VALUES(body)"
            cursor.execute(sql, (number, f"n{number}", self._random.randrange(1000), body))
        elif pick < 0.55:
            low = self._random.randrange(_HOT)
            cursor.execute("UPDATE items SET n=n+1 WHERE id BETWEEN %s AND %s", (low, low + 8))
        elif pick < 0.65:
            cursor.execute("DELETE FROM items WHERE id=%s", (number,))
        elif pick < 0.72:
            cursor.execute("DELETE FROM items WHERE id=%s", (number,))
            cursor.execute("INSERT INTO items VALUES (%s,'again',0,NULL)", (number,))
        elif pick < 0.80:
            cursor.execute("UPDATE IGNORE items SET id=%s WHERE id=%s", (self._random.randrange(_HOT), number))
        elif pick < 0.92:
            name = self._random.choice(("x|y", 'q"', "", "ü", "a", "A", "a,b"))
            sql = "INSERT INTO pairs VALUES (%s,%s,%s) ON DUPLICATE KEY UPDATE v=v+1"
            cursor.execute(sql, (number % 20, name, number))
        else:
            cursor.execute("DELETE FROM pairs WHERE a=%s", (number % 20,))
