"""The real servers that tests run against, and settings that point there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import pymysql
from elasticsearch import Elasticsearch

from stack import StackStatus


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
    """`user` is empty where security is off."""

    url: str
    user: str = ""
    password: str = ""

    def client(self) -> Elasticsearch:
        login = (self.user, self.password) if self.user else None
        return Elasticsearch([self.url], request_timeout=60, basic_auth=login)

    @property
    def login(self) -> dict[str, str]:
        """What a configuration says of it."""
        return {"user": self.user, "password": self.password} if self.user else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    mysql: Mysql
    kafka: Kafka
    elastic: Elastic
    versions: str


ADDRESSES = ("TIDEMARK_TEST_MYSQL", "TIDEMARK_TEST_KAFKA", "TIDEMARK_TEST_ELASTICSEARCH")


def servers_from(env: Mapping[str, str], versions: str) -> Servers:
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


def of_stack(status: StackStatus) -> Servers:
    versions = ", ".join(f"{server.name} {server.version}" for server in status.servers)
    return servers_from(status.test_environment(), versions)


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
        "elasticsearch": {"urls": [servers.elastic.url], **servers.elastic.login},
        "cdc": {"heartbeat_s": 1},
        "audit": {"reports_index": ""},  # the test servers are shared
        "service": {"cdc_listen": "127.0.0.1:0", "sink_listen": "127.0.0.1:0", "audit_listen": "127.0.0.1:0"},
    }
    for section, values in sections.items():
        tree.setdefault(section, {}).update(values)
    return tree
