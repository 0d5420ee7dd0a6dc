"""MySQL and Kafka killed, paused and restarted under load: every row stands once in the topic, in order."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pymysql
import pytest

from cdc_process import Cdc, execute
from ops.settings import Settings
from runner import until
from stack.kafka import KafkaServer
from stack.mysql import MysqlServer
from topic import read_topics

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def servers_of_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MysqlServer, KafkaServer]]:
    folder = tmp_path_factory.mktemp("outages")
    mysql, kafka = MysqlServer(folder / "mysql"), KafkaServer(folder / "kafka")
    try:
        mysql.start()
        kafka.start()
        yield mysql, kafka
    finally:
        kafka.stop()
        mysql.stop()


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
        self._over.set()
        self._thread.join(60)

    def _run(self) -> None:
        numbers = itertools.count(1)
        while not self._over.is_set():
            try:
                with self._server.connect(timeout_s=3) as connection:
                    connection.autocommit(True)
                    while not self._over.wait(0.005):
                        number = next(numbers)
                        execute(connection, f"INSERT INTO {self._db}.t VALUES ({number}, 0)")
                        self.acknowledged.append(number)
            except (pymysql.Error, OSError):
                self._over.wait(0.2)

    def more(self, count: int, timeout_s: float = 60) -> None:
        wanted = len(self.acknowledged) + count
        until(lambda: len(self.acknowledged) >= wanted, f"{count} more commits", timeout_s)


class World:
    def __init__(self, servers: tuple[MysqlServer, KafkaServer], name: str, folder: Path) -> None:
        self.mysql, self.kafka = servers
        root = self.mysql.root
        self.name = name
        self.settings = Settings.model_validate(
            {
                "source": {
                    "name": name, "port": self.mysql.port, "user": root.user, "password": root.password, "tls": "off",
                },
                "kafka": {"bootstrap_servers": f"127.0.0.1:{self.kafka.port}", "transaction_timeout_s": 10},
                "cdc": {"tables": [f"{name}.*"], "heartbeat_s": 1},
                "service": {"cdc_listen": "127.0.0.1:0"},
            }
        )  # fmt: skip
        self.execute(f"CREATE DATABASE {name}", f"CREATE TABLE {name}.t (id INT PRIMARY KEY, n INT)")
        self.process = Cdc(self.settings, folder / "cdc.log")
        self.load = Load(self.mysql, name)

    def execute(self, *statements: str) -> None:
        with self.mysql.connect() as connection:
            execute(connection, *statements)

    def published(self) -> list[int]:
        topic = f"{self.name}.{self.name}.t"
        found = read_topics(f"127.0.0.1:{self.kafka.port}", [topic])
        return [r.key["id"] for r in sorted(found, key=lambda r: r.value["source"]["seq"])]

    def committed(self) -> list[int]:
        with self.mysql.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT id FROM {self.name}.t ORDER BY id")
            return [row[0] for row in cursor.fetchall()]

    def flows(self) -> None:
        before = len(self.published())
        until(self.running(lambda: len(self.published()) > before), "events", 90)

    def running(self, check: Callable[[], bool]) -> Callable[[], bool]:
        def checked() -> bool:
            assert self.process.process.poll() is None, self.process.said[-3000:]
            return check()

        return checked

    def verify(self) -> None:
        wanted = self.committed()
        assert set(self.load.acknowledged) <= set(wanted)
        try:
            until(self.running(lambda: len(self.published()) >= len(wanted)), "all events", 90)
        except AssertionError as error:
            raise AssertionError(self.process.stacks()) from error
        assert self.published() == wanted
        assert self.process.stop() == 0, self.process.said


@pytest.fixture
def world(servers_of_own, unique: str, tmp_path: Path) -> Iterator[World]:
    made = World(servers_of_own, f"o{unique[-20:]}".replace("__", "_"), tmp_path)
    made.process.await_said('"first_start"')
    with made.load:
        yield made
    made.process.__exit__()


def finished(world: World) -> None:
    world.load.__exit__()
    world.verify()


def test_kafka_is_killed(world: World) -> None:
    world.flows()
    world.kafka.kill()
    world.load.more(20)
    world.kafka.start()
    world.load.more(20)
    finished(world)


def test_kafka_is_paused_for_longer_than_a_transaction_may_take(world: World) -> None:
    world.flows()
    world.kafka.pause()
    try:
        time.sleep(25)  # the transaction's time is what passes
    finally:
        world.kafka.resume()
    world.load.more(20)
    finished(world)


def test_mysql_is_killed(world: World) -> None:
    world.flows()
    world.mysql.kill()
    world.mysql.start()
    world.load.more(20)
    finished(world)


def test_mysql_is_paused(world: World) -> None:
    world.flows()
    world.mysql.pause()
    try:
        world.process.await_said("lost")
    finally:
        world.mysql.resume()
    world.load.more(20)
    finished(world)


def test_the_dump_is_killed_again_and_again(world: World) -> None:
    world.flows()
    killed = 0
    with world.mysql.connect() as connection, connection.cursor() as cursor:
        while killed < 5:
            cursor.execute("SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'")
            for (number,) in cursor.fetchall():
                cursor.execute(f"KILL {number}")
                killed += 1
            time.sleep(1)
    finished(world)


def test_it_ends_in_time_while_kafka_is_silent(world: World) -> None:
    world.flows()
    world.kafka.pause()
    try:
        world.load.more(50)
        began = time.monotonic()
        assert world.process.stop(12) == 0, world.process.said
        assert time.monotonic() - began < 10
    finally:
        world.kafka.resume()
    world.process = Cdc(world.settings, world.process.log)
    finished(world)
