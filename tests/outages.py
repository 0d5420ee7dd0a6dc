"""Servers of our own that may be harmed, a load on them, and the check afterwards: every row once, in order."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pymysql

from cdc_process import Cdc, execute
from committed import committed_values
from ops.settings import Settings
from runner import until
from stack.kafka import KafkaServer
from stack.mysql import MysqlServer
from topic import read_topics


class Load:
    """Inserts rows with growing keys until told to stop; a commit without an answer may have happened or not."""

    def __init__(self, server: MysqlServer, db: str) -> None:
        self._server, self._db = server, db
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.acknowledged: list[int] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(60)

    def _run(self) -> None:
        numbers = itertools.count(1)
        while not self._over.is_set():
            try:
                with self._server.connect(timeout_s=3) as connection:
                    connection.autocommit(True)
                    while not self._over.wait(0.005):
                        number = next(numbers)
                        execute(connection, f"INSERT INTO {self._db}.t (id, n) VALUES ({number}, 0)")
                        self.acknowledged.append(number)
            except (pymysql.Error, OSError):
                self._over.wait(0.2)

    def more(self, count: int, timeout_s: float = 180) -> None:
        wanted = len(self.acknowledged) + count
        until(lambda: len(self.acknowledged) >= wanted, f"{count} more commits", timeout_s)


class World:
    """A table `t` in a database that is called like the source, a cdc that captures it, and a load.

    `env` is laid over cdc's environment, `sections` over its settings.
    """

    def __init__(
        self,
        servers: tuple[MysqlServer, KafkaServer],
        name: str,
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        **sections: dict[str, Any],
    ) -> None:
        self.mysql, self.kafka = servers
        root = self.mysql.root
        self.name = name
        tree: dict[str, dict[str, Any]] = {
            "source": {
                "name": name, "port": self.mysql.port, "user": root.user, "password": root.password, "tls": "off",
            },
            "kafka": {"bootstrap_servers": self.brokers, "transaction_timeout_s": 3},
            "cdc": {"tables": [f"{name}.*"], "heartbeat_s": 1},
            "service": {"cdc_listen": "127.0.0.1:0"},
        }  # fmt: skip
        for section, values in sections.items():
            tree[section] |= values
        self.settings = Settings.model_validate(tree)
        self.execute(
            f"CREATE DATABASE {name}", f"CREATE TABLE {name}.t (id INT PRIMARY KEY, n INT, filler VARBINARY(16384))"
        )
        self.process = Cdc(self.settings, folder / "cdc.log", env)
        self.load = Load(self.mysql, name)

    @property
    def topic(self) -> str:
        return f"{self.name}.{self.name}.t"

    def execute(self, *statements: str) -> None:
        with self.mysql.connect(timeout_s=120) as connection:
            execute(connection, *statements)

    @property
    def brokers(self) -> str:
        return f"127.0.0.1:{self.kafka.port}"

    def kill_dumps(self) -> None:
        """KILL the threads that send the binlog, as soon as there are any."""
        with self.mysql.connect(timeout_s=120) as connection, connection.cursor() as cursor:
            sql = "SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"
            until(self.running(lambda: cursor.execute(sql) > 0), "a dump")
            for (number,) in cursor.fetchall():
                with suppress(pymysql.err.OperationalError):  # it has ended by itself
                    cursor.execute(f"KILL {number}")

    def published(self) -> list[int]:
        return [event["after"]["id"] for event in committed_values(self.brokers, self.topic)]

    def judged(self) -> list[int]:
        """The same, by another client. Seldom: closed while it connects, kafka-python leaves a socket open."""
        found = read_topics(self.brokers, [self.topic])
        return [r.key["id"] for r in sorted(found, key=lambda r: r.value["source"]["seq"])]

    def insert(self, rows: int, width_kib: int) -> None:
        """One transaction of so many rows, after those that are there; no compression makes one less than 1 KiB."""
        filler = f"CONCAT(RANDOM_BYTES(1024), REPEAT('x', {(width_kib - 1) * 1024}))" if width_kib else "NULL"
        first = 1 + max(self.committed(), default=0)
        self.execute(
            "SET SESSION cte_max_recursion_depth = 10000000",
            f"INSERT INTO {self.name}.t WITH RECURSIVE r(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM r"
            f" WHERE n < {first + rows - 1}) SELECT n, 0, {filler} FROM r",
        )

    def committed(self) -> list[int]:
        with self.mysql.connect(timeout_s=120) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT id FROM {self.name}.t ORDER BY id")
            return [row[0] for row in cursor.fetchall()]

    def flows(self) -> None:
        before = len(self.published())
        until(self.running(lambda: len(self.published()) > before), "events", 180)

    def running(self, check: Callable[[], bool]) -> Callable[[], bool]:
        def checked() -> bool:
            assert self.process.process.poll() is None, self.process.said[-3000:]
            return check()

        return checked

    def verify(self, timeout_s: float = 240) -> None:
        """End the load; every row is in the topic once, in order."""
        self.load.finish()
        wanted = self.committed()
        assert set(self.load.acknowledged) <= set(wanted)
        try:
            until(self.running(lambda: len(self.published()) >= len(wanted)), "all events", timeout_s)
        except AssertionError as error:
            raise AssertionError(self.process.stacks()) from error
        assert self.judged() == wanted
        assert self.process.stop() == 0, self.process.said
