"""cdc as a process, against the real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cdc.position_store import Instance, PositionStore, Stored
from cdc_process import Cdc, execute
from ops.settings import Settings
from schemas.errors import UnreachableError
from servers import Mysql, Servers
from sink_world import World


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
