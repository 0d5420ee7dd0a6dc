"""Debezium's MySQL connector on a Kafka Connect standalone worker, as its documentation runs it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.capture.topics import Topics
from bench.capture.wait import await_mark
from bench.child import Child
from bench.servers import Servers
from stack import artifacts, java
from stack.ports import HOST, free_port
from stack.watcher import Report, Watcher

_HEAP = ("-Xms256m", "-Xmx2g")  # what Kafka's connect-standalone.sh gives it
_JVM = (
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
)
_LOG4J = """\
<Configuration status="WARN">
  <Appenders><Console name="out"><PatternLayout pattern="%d{ISO8601} %-5p %m (%c{1})%n"/></Console></Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""
_KEPT = ("offsets", "history")
_PRIME_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A way to configure it: what differs from the defaults of worker and connector, and the heap."""

    name: str
    worker: Mapping[str, str] = field(default_factory=dict)
    connector: Mapping[str, str] = field(default_factory=dict)
    heap: tuple[str, ...] = _HEAP


DEFAULTS = Setup(name="debezium, defaults")
TUNED = Setup(
    name="debezium, tuned",
    worker={
        "producer.batch.size": str(1 << 20),
        "producer.linger.ms": "20",
        "producer.buffer.memory": str(256 << 20),
        "producer.max.request.size": str(16 << 20),
        "producer.max.in.flight.requests.per.connection": "5",
        "plugin.discovery": "service_load",
    },
    connector={"max.batch.size": "16384", "max.queue.size": "65536", "poll.interval.ms": "10"},
    heap=("-Xms1g", "-Xmx3g"),
)


class Debezium:
    """Knows where a backlog begins: `prime` it before, and each `start` begins there again."""

    def __init__(self, servers: Servers, folder: Path, db: str, say: Report) -> None:
        self._servers = servers
        self._folder = folder
        self._db = db
        self.prefix = f"debezium_{db}"
        watcher = Watcher(say)
        self._jars = artifacts.fetch("debezium", watcher)
        self._java = java.ensure(watcher).program
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "log4j2.xml").write_text(_LOG4J, encoding="utf-8")

    def prime(self, topics: Topics) -> None:
        """Let it see the tables and note its position; a row of `done` shows that it streams, its end that it wrote."""
        topics.make(f"{self.prefix}.{self._db}.events", f"{self.prefix}.{self._db}.done")
        with topics.watch(f"{self.prefix}.{self._db}.done") as reader, self._start(DEFAULTS, self._primed) as child:
            connection = self._servers.mysql.connect()
            try:
                for number in range(-_PRIME_S, 0):
                    connection.cursor().execute(f"INSERT INTO {self._db}.done VALUES ({number})")
                    if await_mark(reader, child, timeout_s=1, required=number == -1):
                        break
            finally:
                connection.close()
            child.stop()
        topics.remove(self.prefix)

    def start(self, setup: Setup) -> Child:
        """A worker that goes on where `prime` ended."""
        run = self._folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir()
        for name in _KEPT:
            shutil.copy(self._primed / name, run / name)
        return self._start(setup, run)

    @property
    def _primed(self) -> Path:
        return self._folder / "primed"

    def _start(self, setup: Setup, state: Path) -> Child:
        state.mkdir(exist_ok=True)
        worker = _properties(state / "worker.properties", {**self._worker(state), **setup.worker})
        connector = state / "connector.json"
        config = {**self._connector(state), **setup.connector}
        connector.write_text(json.dumps({"name": self.prefix, "config": config}), encoding="utf-8")
        log4j = f"-Dlog4j2.configurationFile={self._folder / 'log4j2.xml'}"
        words = [self._java, *setup.heap, *_JVM, log4j, "-cp", f"{self._jars}{os.sep}*"]
        main = "org.apache.kafka.connect.cli.ConnectStandalone"
        return Child([*words, main, str(worker), str(connector)], self._folder / "connect.log")

    def _worker(self, state: Path) -> dict[str, str]:
        converter = "org.apache.kafka.connect.json.JsonConverter"
        return {
            "bootstrap.servers": self._servers.kafka,
            "listeners": f"http://{HOST}:{free_port()}",
            "key.converter": converter,
            "key.converter.schemas.enable": "false",
            "value.converter": converter,
            "value.converter.schemas.enable": "false",
            "offset.storage.file.filename": str(state / "offsets"),
            "topic.creation.enable": "false",
            "producer.acks": "all",
            "producer.compression.type": "lz4",
        }

    def _connector(self, state: Path) -> dict[str, str]:
        mysql = self._servers.mysql
        return {
            "connector.class": "io.debezium.connector.mysql.MySqlConnector",
            "tasks.max": "1",
            "database.hostname": mysql.host,
            "database.port": str(mysql.port),
            "database.user": mysql.user,
            "database.password": mysql.password,
            "database.server.id": "7654321",
            "database.ssl.mode": "disabled",
            "driver.allowPublicKeyRetrieval": "true",
            "database.include.list": self._db,
            "topic.prefix": self.prefix,
            "include.schema.changes": "false",
            "snapshot.mode": "no_data",
            "schema.history.internal": "io.debezium.storage.file.history.FileSchemaHistory",
            "schema.history.internal.file.filename": str(state / "history"),
        }


def _properties(path: Path, values: Mapping[str, str]) -> Path:
    path.write_text("".join(f"{key}={value}\n" for key, value in values.items()), encoding="utf-8")
    return path
