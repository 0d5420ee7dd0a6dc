"""A real Kafka broker, KRaft, one node."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import ClusterMetadata

from stack import artifacts, files, identity, java
from stack.errors import ServerStartError
from stack.ports import HOST
from stack.run import run
from stack.server import Server
from stack.watcher import Watcher

_HEAP = ("-Xms512m", "-Xmx512m")
_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    # One node; and few partitions in the control topics, so that a restart has little to load.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "8",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    # A killed consumer of the new protocol (KIP-848) keeps its partitions for 45 s by default.
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "1000",
    "group.consumer.heartbeat.interval.ms": "1000",
    # After a kill -9 the broker must wait until its former self has timed out; Kafka's default is 9 s.
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "message.max.bytes": str(64 << 20),
    "replica.fetch.max.bytes": str(64 << 20),
    "socket.request.max.bytes": str(128 << 20),
    "log.retention.hours": "-1",
}
_LOG4J = """\
<Configuration status="WARN">
  <Appenders><Console name="out"><PatternLayout pattern="%d{ISO8601} %-5p %m (%c{1})%n"/></Console></Appenders>
  <Loggers><Root level="INFO"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


class KafkaServer(Server):
    """One broker and controller in one JVM. `properties` are added to ours and win."""

    name = "kafka"
    port_names = ("port", "controller")

    def __init__(self, folder: Path, *, port: int = 0, properties: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, port=port)
        self._properties = dict(properties or {})
        self._jars = Path()
        self._java = ""

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def prepare(self, watcher: Watcher) -> None:
        self._java = java.ensure(watcher).program
        self._jars = artifacts.fetch("kafka", watcher)
        self._note(version=artifacts.version_of("kafka", "kafka_2.13"))
        files.write(self.folder / "log4j2.xml", _LOG4J, mode=0o644)
        files.write(self.folder / "server.properties", render_properties(self._all_properties()), mode=0o644)
        if not self.data.exists():
            self._format(watcher)

    def command(self) -> Sequence[str]:
        collector = ("-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:+ExitOnOutOfMemoryError")
        return [*self._jvm(*_HEAP, *collector), "kafka.Kafka", str(self.folder / "server.properties")]

    def reach(self) -> Sequence[Path]:
        return [self.folder, self._jars, Path(self._java)]

    def answers(self) -> bool:
        # librdkafka logs every refused connection, so ask it only when somebody listens.
        try:
            socket.create_connection((HOST, self.port), timeout=1).close()
        except OSError:
            return False
        quiet = logging.getLogger("stack.kafka.client")
        quiet.addHandler(logging.NullHandler())
        quiet.propagate = False
        admin = AdminClient({"bootstrap.servers": f"{HOST}:{self.port}"}, logger=quiet)
        try:
            return _is_whole(admin.list_topics(timeout=3))
        except KafkaException:
            return False

    def _all_properties(self) -> dict[str, str]:
        broker, controller = f"{HOST}:{self.ports['port']}", f"{HOST}:{self.ports['controller']}"
        where = {
            "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{broker}",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self.data),
        }
        return {**_PROPERTIES, **where, **self._properties}

    def _jvm(self, *options: str) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.xml'}"
        return [self._java, *options, log4j, "-cp", f"{self._jars}{os.sep}*"]

    def _format(self, watcher: Watcher) -> None:
        draft = files.draft(self.data)
        identity.give(draft)
        # The program of somebody who was killed may read its own this late: it must not find ours, and be quicker.
        for left in self.folder.glob("format.*.properties"):
            left.unlink()
        properties = self.folder / f"format.{draft.name}.properties"
        files.write(properties, render_properties({**self._all_properties(), "log.dirs": str(draft)}), mode=0o644)
        # One id in 64 begins with a hyphen: as a word of its own it would be taken for an option.
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = [*self._jvm(), "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(properties)]
        log = self.folder / "format.log"
        outcome = run([*identity.prefix(self.reach(), helper=True), *command], log=log, watcher=watcher)
        if outcome.code != 0:
            raise ServerStartError(f"Kafka could not make its data folder:\n{outcome.tail()}", where=str(log))
        properties.unlink()
        draft.rename(self.data)


def _is_whole(metadata: ClusterMetadata) -> bool:
    """True if the broker is registered and leads everything; after a restart that comes a little later."""
    partitions = (part for topic in metadata.topics.values() for part in topic.partitions.values())
    return len(metadata.brokers) == 1 and all(part.leader in metadata.brokers for part in partitions)


def render_properties(properties: Mapping[str, str]) -> str:
    """Java properties; a backslash is the only character in our values that needs care."""
    return "".join(f"{key}={value.replace(chr(92), chr(92) * 2)}\n" for key, value in properties.items())
