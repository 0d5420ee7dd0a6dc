"""The servers that a benchmark runs on: those of `TIDEMARK_TEST_*`, or its own, for as long as it runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pymysql

from stack import KafkaServer, MysqlServer
from stack.ports import HOST
from stack.watcher import Report, Watcher

#: A benchmark writes its backlog in minutes, not in hours: it does not wait for the disk at every commit.
_MYSQL_ARGS = ("--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=1G")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mysql:
    """A server, and an account that may do everything. `pid` is 0 for a server that is not ours."""

    host: str
    port: int
    user: str
    password: str
    pid: int = 0

    def connect(self) -> Any:
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            autocommit=True,
            init_command="SET time_zone = '+00:00'",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """MySQL and Kafka. `pids`: of the servers, as far as they are ours; `versions`: for people."""

    mysql: Mysql
    kafka: str
    kafka_pid: int
    pids: tuple[int, ...]
    versions: str


@contextmanager
def servers(state_dir: Path, say: Report) -> Iterator[Servers]:
    """Servers of our own in `state_dir`, stopped and removed afterwards; or those that the environment names."""
    if "TIDEMARK_TEST_MYSQL" in os.environ and "TIDEMARK_TEST_KAFKA" in os.environ:
        yield _named(os.environ["TIDEMARK_TEST_MYSQL"], os.environ["TIDEMARK_TEST_KAFKA"])
        return
    mysql, kafka = MysqlServer(state_dir / "mysql", args=_MYSQL_ARGS), KafkaServer(state_dir / "kafka")
    with ExitStack() as ours:
        for server in (mysql, kafka):
            say(f"starting {server.name}")
            server.folder.mkdir(parents=True, exist_ok=True)
            server.start(watcher=Watcher(say))
            ours.callback(server.wipe)
        root = mysql.root
        yield Servers(
            mysql=Mysql(host=HOST, port=mysql.port, user=root.user, password=root.password, pid=mysql.pid),
            kafka=f"{HOST}:{kafka.port}",
            kafka_pid=kafka.pid,
            pids=(mysql.pid, kafka.pid),
            versions=f"MySQL {mysql.version}, Kafka {kafka.version}",
        )


def _named(mysql: str, kafka: str) -> Servers:
    url = urlsplit(mysql)
    found = Mysql(
        host=url.hostname or HOST,
        port=url.port or 3306,
        user=unquote(url.username or "root"),
        password=unquote(url.password or ""),
    )
    connection = found.connect()
    try:
        version = connection.get_server_info()
    finally:
        connection.close()
    return Servers(mysql=found, kafka=kafka, kafka_pid=0, pids=(), versions=f"MySQL {version}, Kafka at {kafka}")
