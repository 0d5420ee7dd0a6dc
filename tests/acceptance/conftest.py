"""The installed command as a subprocess, judged by exit code, stdout and stderr."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner import Pipeline
from servers import Mysql, Servers
from tidemark.demo.services import command


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def tidemark() -> Run:
    def run(*args: str | Path, timeout_s: float = 180, env: Mapping[str, str] | None = None) -> Done:
        done = subprocess.run(
            [*command(), *map(str, args)], capture_output=True, text=True, timeout=timeout_s, check=False, env=env
        )
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

    return run


@pytest.fixture
def configure(servers: Servers, tmp_path: Path) -> Callable[..., Path]:
    """A configuration file for the test servers, with sections laid over it; its path."""

    def make(name: str, **sections: dict[str, Any]) -> Path:
        return Pipeline(tmp_path / name, servers, name, **sections).config

    return make


@pytest.fixture
def user(mysql: Mysql, unique: str) -> Iterator[Callable[..., dict[str, str]]]:
    """Makes a MySQL user with the given grants; its `[source]` keys."""
    name = f"u_{unique[-20:]}"
    connection = mysql.connect()
    cursor = connection.cursor()

    def make(*grants: str, password: str = "simple") -> dict[str, str]:
        cursor.execute(f"CREATE USER '{name}'@'%%' IDENTIFIED BY %s", (password,))
        for grant in grants:
            cursor.execute(f"GRANT {grant} TO '{name}'@'%'")
        return {"user": name, "password": password}

    yield make
    cursor.execute(f"DROP USER IF EXISTS '{name}'@'%'")
    connection.close()
