"""cdc and sink as the processes that a user would run, with a configuration of the test's own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from kafka.errors import KafkaError

from oracle import await_equal
from servers import Servers, settings_tree
from stack.ports import free_port
from tidemark.demo.services import Service


class Pipeline:
    """One source name, one configuration file, and the processes that run with it."""

    def __init__(self, folder: Path, servers: Servers, name: str, **sections: dict[str, Any]) -> None:
        self.name = name
        self.servers = servers
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._running: dict[str, Service] = {}
        self.listen = {service: f"127.0.0.1:{free_port()}" for service in ("cdc", "sink")}
        tree = settings_tree(servers, name, **sections)
        tree["service"] |= {f"{service}_listen": address for service, address in self.listen.items()}
        self.config = folder / "tidemark.toml"
        self.config.write_text("\n".join(_toml(tree)), encoding="utf-8")

    def start(self, *services: str, env: Mapping[str, str] | None = None, ready: bool = True) -> None:
        for service in services:
            self._running[service] = Service.start(service, self.config, self.listen[service], env)
        for service in services if ready else ():
            self._running[service].await_ready(180)

    def kill(self, service: str) -> None:
        """kill -9."""
        process = self._running.pop(service).process
        process.kill()
        process.wait(60)

    def stop(self, service: str, timeout_s: float = 60) -> int:
        return self._running.pop(service).stop(timeout_s)

    def take(self, service: str, other: Pipeline) -> None:
        """A service that another pipeline has started is ours from here on."""
        self._running[service] = other._running.pop(service)

    def wait(self, service: str, timeout_s: float = 120) -> int:
        """Wait for a service to end by itself; its exit code."""
        return self._running.pop(service).process.wait(timeout_s)

    def log(self, service: str) -> str:
        return (self.folder / f"{service}.log").read_text(encoding="utf-8")

    def running(self, service: str) -> Service:
        return self._running[service]

    def check(self) -> None:
        for service in self._running.values():
            service.check()

    def alias(self, db: str, table: str) -> str:
        return f"{self.name}.{db}.{table}"

    def await_equal(self, db: str, tables: tuple[str, ...], timeout_s: float = 240) -> None:
        connection = self.servers.mysql.connect()
        client = self.servers.elastic.client()
        try:
            aliases = {table: self.alias(db, table) for table in tables}
            await_equal(connection, client, db, aliases, alive=self.check, timeout_s=timeout_s)
        finally:
            connection.close()
            client.close()

    def close(self) -> None:
        for service in list(self._running):
            self.kill(service)


def until(check: Callable[[], Any], what: str, timeout_s: float = 120) -> Any:
    """Wait until `check` gives something true, and return it; a Kafka that does not answer is no answer yet."""
    deadline = time.monotonic() + timeout_s
    while True:
        problem = None
        try:
            if found := check():
                return found
        except (KafkaException, KafkaError) as error:
            problem = error
        assert time.monotonic() < deadline, f"waited {timeout_s} s in vain: {what}; {problem}"
        time.sleep(0.05)


def _toml(tree: Mapping[str, Any], above: str = "") -> Iterator[str]:
    plain = {key: value for key, value in tree.items() if not isinstance(value, Mapping)}
    if above and plain:
        yield f"[{above}]"
    for key, value in plain.items():
        yield f"{json.dumps(key)} = {_value(value)}"
    for key, value in tree.items():
        if isinstance(value, Mapping):
            quoted = key if key.isidentifier() else json.dumps(key)
            yield from _toml(value, f"{above}.{quoted}" if above else quoted)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{json.dumps(key)} = {_value(item)}' for key, item in value.items())}}}"
    return json.dumps(value)
