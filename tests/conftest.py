"""Real servers for every test that asks: from `TIDEMARK_TEST_*` addresses, else from `stack`.

On a laptop without them such tests are skipped, in CI they fail.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pymysql
import pytest
from elasticsearch import Elasticsearch

from ops.settings import Settings
from schemas.errors import TidemarkError
from stack import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Mysql:
    """Root access to the test server."""

    host: str
    port: int
    user: str
    password: str

    def connect(self, **overrides: Any) -> pymysql.connections.Connection:
        defaults = {"autocommit": True, "charset": "utf8mb4", "connect_timeout": 10, "read_timeout": 120}
        place = {"host": self.host, "port": self.port, "user": self.user, "password": self.password}
        return pymysql.connect(**{**place, **defaults, **overrides})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kafka:
    bootstrap_servers: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Elastic:
    url: str

    def client(self) -> Elasticsearch:
        return Elasticsearch([self.url], request_timeout=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    mysql: Mysql
    kafka: Kafka
    elastic: Elastic
    versions: str


_ADDRESSES = ("TIDEMARK_TEST_MYSQL", "TIDEMARK_TEST_KAFKA", "TIDEMARK_TEST_ELASTICSEARCH")


def servers_from(env: dict[str, str], versions: str) -> Servers:
    url = urlsplit(env["TIDEMARK_TEST_MYSQL"])
    return Servers(
        mysql=Mysql(
            host=url.hostname or "127.0.0.1",
            port=url.port or 3306,
            user=unquote(url.username or "root"),
            password=unquote(url.password or ""),
        ),
        kafka=Kafka(bootstrap_servers=env["TIDEMARK_TEST_KAFKA"]),
        elastic=Elastic(url=env["TIDEMARK_TEST_ELASTICSEARCH"]),
        versions=versions,
    )


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    if all(os.environ.get(name) for name in _ADDRESSES):
        yield servers_from(dict(os.environ), "given by TIDEMARK_TEST_*")
        return
    stack = Stack(tmp_path_factory.mktemp("stack"))
    try:
        status = stack.up()
    except TidemarkError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no real servers here: {error}. {error.hint}")
    try:
        env = {
            "TIDEMARK_TEST_MYSQL": status.mysql_url,
            "TIDEMARK_TEST_KAFKA": status.kafka.address,
            "TIDEMARK_TEST_ELASTICSEARCH": status.elasticsearch_url,
        }
        yield servers_from(env, ", ".join(f"{server.name} {server.version}" for server in status.servers))
    finally:
        stack.down()


@pytest.fixture(scope="session")
def mysql(servers: Servers) -> Mysql:
    return servers.mysql


@pytest.fixture(scope="session")
def kafka(servers: Servers) -> Kafka:
    return servers.kafka


@pytest.fixture(scope="session")
def elastic(servers: Servers) -> Elastic:
    return servers.elastic


@pytest.fixture
def make_settings(servers: Servers, tmp_path: Path) -> Callable[..., Settings]:
    """Settings for the test servers; `make_settings("name", cdc={...}, sink={...})` lays sections over them."""

    def make(name: str, **sections: dict[str, Any]) -> Settings:
        return Settings.model_validate(settings_tree(servers, name, **sections))

    return make


def settings_tree(servers: Servers, name: str, **sections: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, dict[str, Any]] = {
        "source": {
            "name": name,
            "host": servers.mysql.host,
            "port": servers.mysql.port,
            "user": servers.mysql.user,
            "password": servers.mysql.password,
            "tls": "off",
        },
        "kafka": {"bootstrap_servers": servers.kafka.bootstrap_servers, "partitions": 3},
        "elasticsearch": {"urls": [servers.elastic.url]},
        "cdc": {"heartbeat_s": 1},
        "service": {"cdc_listen": "127.0.0.1:0", "sink_listen": "127.0.0.1:0", "audit_listen": "127.0.0.1:0"},
    }
    for section, values in sections.items():
        tree.setdefault(section, {}).update(values)
    return tree


@pytest.fixture
def unique(request: pytest.FixtureRequest) -> str:
    """A name of the test's own: for a source, a database, an index."""
    plain = re.sub(r"[^a-z0-9]+", "_", request.node.name.lower())[:40].strip("_")
    return f"{plain}_{os.urandom(3).hex()}"


@pytest.fixture
def database(mysql: Mysql, unique: str) -> Iterator[str]:
    """An empty database of the test's own."""
    name = unique[-40:].strip("_")
    connection = mysql.connect()
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        try:
            yield name
        finally:
            cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")
            connection.close()


@pytest.fixture
def make_pipeline(servers: Servers, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Pipelines of processes: what a test starts, it does not have to stop."""
    from runner import Pipeline  # noqa: PLC0415  it imports this file

    made: list[Pipeline] = []

    def make(name: str, **sections: dict[str, Any]) -> Pipeline:
        made.append(Pipeline(tmp_path / f"{name}-{len(made)}", servers, name, **sections))
        return made[-1]

    yield make
    for pipeline in made:
        pipeline.close()
        for service in ("cdc", "sink"):
            log = pipeline.folder / f"{service}.log"
            if log.exists():  # pytest shows it when the test failed
                print(f"--- {service} ---\n{log.read_text(encoding='utf-8')[-6000:]}")
