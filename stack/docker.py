"""The whole environment from `docker-compose.yml`, for machines that have an engine."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from schemas.errors import UsageError
from stack.config import Addresses
from stack.errors import StackError
from stack.ports import HOST
from stack.status import ServerState

COMPOSE_FILE = "docker-compose.yml"
SERVERS = ("mysql", "kafka", "elasticsearch")
# As published in docker-compose.yml; a test holds the two together.
PORTS = {"mysql": 13306, "kafka": 19092, "elasticsearch": 19200}


def up() -> None:
    """Start the whole environment, tidemark's services too; returns when all health checks pass."""
    _compose(["up", "--detach", "--wait"])


def down(*, wipe: bool) -> None:
    """Stop everything in the file, tidemark's services too."""
    _compose(["down", "--remove-orphans", *(["--volumes"] if wipe else [])])


def states() -> dict[str, ServerState]:
    """What Compose says of each server."""
    found = {str(row.get("Service")): row for row in _rows(_compose(["ps", "--all", "--format", "json"]))}
    return {name: _state(found.get(name)) for name in SERVERS}


def addresses() -> Addresses:
    """Where the published ports are."""
    return Addresses(
        mysql_host=HOST,
        mysql_port=PORTS["mysql"],
        mysql_user="tidemark",
        mysql_password_file=_secrets() / "mysql_password",
        kafka=f"{HOST}:{PORTS['kafka']}",
        elasticsearch=f"http://{HOST}:{PORTS['elasticsearch']}",
    )


def test_environment() -> dict[str, str]:
    """The variables that the tests take their servers from."""
    password = (_secrets() / "mysql_root_password").read_text(encoding="utf-8").strip()
    where = addresses()
    return {
        "TIDEMARK_TEST_MYSQL": f"mysql://root:{quote(password, safe='')}@{where.mysql_host}:{where.mysql_port}",
        "TIDEMARK_TEST_KAFKA": where.kafka,
        "TIDEMARK_TEST_ELASTICSEARCH": where.elasticsearch,
    }


def compose_file() -> Path:
    """Beside the packages in a checkout, else in the current folder."""
    for folder in (Path(__file__).parents[1], Path.cwd()):
        if (folder / COMPOSE_FILE).is_file():
            return folder / COMPOSE_FILE
    raise UsageError(f"there is no {COMPOSE_FILE} here", where=str(Path.cwd()), hint="run it in a checkout of tidemark")


def _secrets() -> Path:
    return compose_file().parent / "deploy" / "secrets"


def _state(row: dict[str, Any] | None) -> ServerState:
    if row is None:
        return ServerState.STOPPED
    if row.get("State") != "running":
        return ServerState.DIED
    return ServerState.RUNNING if row.get("Health") == "healthy" else ServerState.UNREADY


def _rows(text: str) -> list[dict[str, Any]]:
    """Compose before 2.21 prints one array, later ones an object a line."""
    if text.lstrip().startswith("["):
        return list(json.loads(text))
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _compose(arguments: Sequence[str]) -> str:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        raise UsageError(
            "--docker needs `docker compose`, which is not there",
            hint="leave --docker out: `tidemark stack up` needs no container engine",
        )
    command = [docker, "compose", "--file", str(compose_file()), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # its progress goes to our stderr
    if done.returncode:
        raise StackError(f"`docker compose {arguments[0]}` failed with exit code {done.returncode}")
    return done.stdout
