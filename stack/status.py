"""What is said about servers: shapes only."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class ServerState(StrEnum):
    """`stopped`: never started, or stopped by us; `died`: started, gone, and nobody stopped it."""

    RUNNING = "running"
    UNREADY = "unready"
    DIED = "died"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """One server; `port` is 0 and `version` empty before its first start, `pid` is 0 unless it lives."""

    name: str
    state: ServerState
    host: str
    port: int
    pid: int
    version: str
    log: Path

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A MySQL user of the stack."""

    user: str
    password: str
    password_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class StackStatus:
    """The whole stack: the three servers, and how to log in to MySQL."""

    state_dir: Path
    mysql: ServerStatus
    kafka: ServerStatus
    elasticsearch: ServerStatus
    root: Account
    tidemark: Account
    socket: Path

    @property
    def servers(self) -> tuple[ServerStatus, ServerStatus, ServerStatus]:
        return self.mysql, self.kafka, self.elasticsearch

    @property
    def running(self) -> bool:
        return all(server.state is ServerState.RUNNING for server in self.servers)

    @property
    def mysql_url(self) -> str:
        """With the root account, for tests that create databases and users."""
        return f"mysql://{self.root.user}:{self.root.password}@{self.mysql.address}"

    @property
    def elasticsearch_url(self) -> str:
        return f"http://{self.elasticsearch.address}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types only. Passwords are not in it; their files are."""
        servers = {server.name: _plain(asdict(server)) for server in self.servers}
        accounts = {"root": str(self.root.password_file), "tidemark": str(self.tidemark.password_file)}
        servers["mysql"] |= {"socket": str(self.socket), "password_files": accounts}
        servers["elasticsearch"] |= {"url": self.elasticsearch_url}
        return {"state_dir": str(self.state_dir), "running": self.running, "servers": servers}


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, (Path, StrEnum)) else value for name, value in fields.items()}
