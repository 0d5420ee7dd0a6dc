"""What is said about servers: shapes only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import quote


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

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types only."""
        return {
            "state": str(self.state),
            "host": self.host,
            "port": self.port,
            "pid": self.pid,
            "version": self.version,
            "log": str(self.log),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A MySQL user of the stack; `password_file` is readable by its owner only."""

    user: str
    password: str
    password_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class MysqlStatus(ServerStatus):
    """MySQL with its two users: `root`, and the one that cdc captures with."""

    root: Account
    capture: Account
    socket: Path

    @property
    def user(self) -> str:
        return self.root.user

    @property
    def password(self) -> str:
        return self.root.password

    @property
    def capture_user(self) -> str:
        return self.capture.user

    @property
    def capture_password(self) -> str:
        return self.capture.password

    @property
    def url(self) -> str:
        """With the root account, for tests that create databases and users."""
        return f"mysql://{quote(self.user)}:{quote(self.password, safe='')}@{self.address}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types only. Passwords are not in it; their files are."""
        accounts = {account.user: str(account.password_file) for account in (self.root, self.capture)}
        # The zero-argument super() does not know the class that `slots` makes.
        return {**ServerStatus.to_json(self), "socket": str(self.socket), "password_files": accounts}


@dataclass(frozen=True, slots=True, kw_only=True)
class StackStatus:
    """The whole stack."""

    state_dir: Path
    mysql: MysqlStatus
    kafka: ServerStatus
    elasticsearch: ServerStatus

    @property
    def servers(self) -> tuple[ServerStatus, ServerStatus, ServerStatus]:
        return self.mysql, self.kafka, self.elasticsearch

    @property
    def running(self) -> bool:
        return all(server.state is ServerState.RUNNING for server in self.servers)

    @property
    def started_once(self) -> bool:
        """True if the addresses are known, whether the servers run or not."""
        return all(server.port for server in self.servers)

    @property
    def elasticsearch_url(self) -> str:
        return f"http://{self.elasticsearch.address}"

    def test_environment(self) -> dict[str, str]:
        """The variables that the tests take their servers from."""
        return {
            "TIDEMARK_TEST_MYSQL": self.mysql.url,
            "TIDEMARK_TEST_KAFKA": self.kafka.address,
            "TIDEMARK_TEST_ELASTICSEARCH": self.elasticsearch_url,
        }

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types only."""
        servers = {server.name: server.to_json() for server in self.servers}
        servers["elasticsearch"]["url"] = self.elasticsearch_url
        return {"state_dir": str(self.state_dir), "running": self.running, "servers": servers}

    def __str__(self) -> str:
        return ", ".join(f"{server.name} {server.version or '?'} {server.state}" for server in self.servers)
