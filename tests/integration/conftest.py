"""cdc as a process, against the real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cdc.position_store import Instance, PositionStore, Stored
from cdc_process import Cdc, execute
from ops.settings import Settings
from outages import World as Outage
from schemas.errors import UnreachableError
from servers import Mysql, Servers
from sink_world import World
from stack.kafka import KafkaServer
from stack.mysql import MysqlServer


@pytest.fixture
def table(mysql: Mysql, database: str) -> str:
    """A database with one table `t (id, n)`; the database's name."""
    with mysql.connect(database=database) as connection:
        execute(connection, "CREATE TABLE t (id INT PRIMARY KEY, n INT)")
    return database


@pytest.fixture
def cdc_settings(make_settings: Callable[..., Settings], unique: str, table: str) -> Callable[..., Settings]:
    """Settings that capture the test's database; further sections are laid over them."""

    def make(name: str = unique, **sections: Any) -> Settings:
        cdc = {"tables": [f"{table}.*"], "linger_s": 0.01, "heartbeat_s": 1, **sections.pop("cdc", {})}
        return make_settings(name, cdc=cdc, **sections)

    return make


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Cdc]]:
    started: list[Cdc] = []

    def make(settings: Settings, env: dict[str, str] | None = None) -> Cdc:
        started.append(Cdc(settings, tmp_path / f"cdc{len(started)}.log", env))
        return started[-1]

    yield make
    for process in started:
        process.__exit__()


@pytest.fixture
def stored() -> Callable[[Settings], Stored]:
    """What `__positions` of a source holds now."""

    def read(settings: Settings) -> Stored:
        try:
            return PositionStore(settings, Instance.of_this_process()).read()
        except UnreachableError:  # a topic that is being created has no leader for a moment
            return Stored()

    return read


@pytest.fixture
def world(servers: Servers, tmp_path: Path, unique: str) -> Iterator[World]:
    """A source that plays cdc, and sinks that read what it says."""
    found = World(servers, tmp_path, unique)
    yield found
    found.close()


@pytest.fixture(scope="session")
def servers_of_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MysqlServer, KafkaServer]]:
    """A MySQL and a Kafka that a test may kill, pause and slow down; afterwards they run as before.

    MySQL drops a client that takes nothing for two seconds, unless it says that it needs longer; Kafka looks for
    transactions that took too long every half second.
    """
    folder = tmp_path_factory.mktemp("own")
    mysql = MysqlServer(folder / "mysql", args=("--net-write-timeout=2",))
    looks = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500"}
    kafka = KafkaServer(folder / "kafka", properties=looks)
    try:
        mysql.start()
        kafka.start()
        yield mysql, kafka
    finally:
        kafka.stop()
        mysql.stop()


@pytest.fixture
def make_outage(
    servers_of_own: tuple[MysqlServer, KafkaServer], unique: str, tmp_path: Path
) -> Iterator[Callable[..., Outage]]:
    """Makes a world of the test's own on them, with a cdc that has started: `env` is for it, so are the sections."""
    made: list[Outage] = []

    def make(**sections: Any) -> Outage:
        made.append(Outage(servers_of_own, f"o{unique[-20:]}".replace("__", "_"), tmp_path, **sections))
        made[-1].process.await_said('"first_start"')
        return made[-1]

    yield make
    for world in made:
        world.load.finish()
        world.process.__exit__()
