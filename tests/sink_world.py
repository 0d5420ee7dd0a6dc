"""A source that plays cdc, sink processes, and what the index ought to hold."""

from __future__ import annotations

import http.client
import random
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ConsumerGroupDescription
from elasticsearch import Elasticsearch

from events import Source
from ops.kafka import committed
from ops.settings import KafkaSettings
from runner import Pipeline, until
from schemas.deadletter import DeadLetter
from schemas.key import document_id, kafka_key, key_text
from schemas.names import deadletter_topic
from servers import Servers


class World:
    """One source, one configuration. `rows`: table -> _id -> row, as the index ought to be."""

    def __init__(self, servers: Servers, folder: Path, name: str) -> None:
        self.name = name
        self.servers = servers
        self._folder = folder
        self._sinks: list[Pipeline] = []
        self.source = Source(bootstrap_servers=servers.kafka.bootstrap_servers, name=name)
        self.client: Elasticsearch = servers.elastic.client()
        self.rows: dict[str, dict[str, Mapping[str, Any]]] = {}
        self.pipeline: Pipeline | None = None

    def sink(self, *, ready: bool = True, env: Mapping[str, str] | None = None, **sections: dict[str, Any]) -> Pipeline:
        """Another sink process."""
        pipeline = Pipeline(self._folder / f"sink-{len(self._sinks)}", self.servers, self.name, **sections)
        self._sinks.append(pipeline)
        pipeline.start("sink", ready=ready, env=env)
        self.pipeline = pipeline
        return pipeline

    def ended(self, pipeline: Pipeline, timeout_s: float = 240) -> int:
        """The exit code of a sink that should end by itself; it is killed at the end of the test if it does not."""
        self.pipeline = None
        return pipeline.running("sink").process.wait(timeout_s)

    def alias(self, table: str = "shop.orders") -> str:
        return self.source.tables[table].topic

    def put(self, *rows: Mapping[str, Any], table: str = "shop.orders") -> None:
        self.source.publish(*rows, table=table)
        for row in rows:
            self.rows.setdefault(table, {})[self.id(row, table)] = row

    def delete(self, *rows: Mapping[str, Any], table: str = "shop.orders", **how: bool) -> None:
        self.source.transact(lambda: [self.source.delete(row, table, **how) for row in rows])
        for row in rows:
            self.rows[table].pop(self.id(row, table), None)

    def churn(self, dice: random.Random, changes: int, keys: int = 60) -> None:
        """Upserts and deletes of a small hot set of keys, a few in each transaction."""
        rows = self.rows.setdefault("shop.orders", {})
        done = 0
        while done < changes:
            size = dice.randint(1, 20)

            def some(size: int = size, done: int = done) -> None:
                for number in range(size):
                    row: dict[str, Any] = {"id": dice.randrange(keys), "note": f"{done + number}"}
                    if dice.random() < 0.3:
                        self.source.delete({"id": row["id"]})
                        rows.pop(str(row["id"]), None)
                    else:
                        self.source.put(row)
                        rows[str(row["id"])] = row

            self.source.transact(some)
            done += size

    def id(self, row: Mapping[str, Any], table: str = "shop.orders") -> str:
        key = kafka_key({name: row[name] for name in self.source.tables[table].primary_key})
        return document_id(key_text(key))

    def documents(self, table: str = "shop.orders") -> dict[str, dict[str, Any]]:
        """Every document of a table by _id, `_cdc` included; none if there is no index."""
        alias = self.alias(table)
        if not self.client.indices.exists(index=alias):
            return {}
        self.client.indices.refresh(index=alias)
        found: dict[str, dict[str, Any]] = {}
        after = None
        while True:
            page = self.client.search(
                index=alias, size=5000, sort=["_cdc.key", "_cdc.seq"], search_after=after, version=True
            )["hits"]["hits"]
            for hit in page:
                assert hit["_version"] == hit["_source"]["_cdc"]["seq"]
                found[hit["_id"]] = hit["_source"]
            if not page:
                return found
            after = page[-1]["sort"]

    def shown(self, table: str = "shop.orders") -> dict[str, dict[str, Any]]:
        return {
            name: {k: v for k, v in source.items() if k != "_cdc"} for name, source in self.documents(table).items()
        }

    def await_equal(self, table: str = "shop.orders", timeout_s: float = 240) -> None:
        """Wait until all is committed, then compare."""
        self.await_committed(table, timeout_s)
        assert self.shown(table) == self.rows.get(table, {})

    def await_committed(self, table: str = "shop.orders", timeout_s: float = 240) -> None:
        def caught_up() -> bool:
            if self.pipeline:
                self.pipeline.check()
            return self.committed(table) == self.ends(table)

        until(caught_up, f"everything of {table} is committed", timeout_s)

    def ends(self, table: str = "shop.orders") -> dict[int, int]:
        """The ends of the partitions, markers included: Kafka answers a commit before it has written them."""

        def found() -> dict[int, int] | None:
            written, stable = (self._ends(table, level) for level in ("read_uncommitted", "read_committed"))
            return written if written == stable else None

        return until(found, f"no transaction is open in {table}")

    def _ends(self, table: str, level: str) -> dict[int, int]:
        config = {"bootstrap.servers": self.servers.kafka.bootstrap_servers, "group.id": "t", "isolation.level": level}
        consumer = Consumer(config)
        try:
            parts = [TopicPartition(self.alias(table), number) for number in range(self.source.partitions)]
            return {part.partition: consumer.get_watermark_offsets(part, timeout=60)[1] for part in parts}
        finally:
            consumer.close()

    def commits(self, table: str = "shop.orders") -> dict[int, TopicPartition]:
        group = f"{self.name}-sink"
        places = [TopicPartition(self.alias(table), number) for number in range(self.source.partitions)]
        settings = KafkaSettings(bootstrap_servers=self.servers.kafka.bootstrap_servers)
        return {part.partition: part for part in committed(settings, group, places) if part.offset >= 0}

    def committed(self, table: str = "shop.orders") -> dict[int, int]:
        return {number: part.offset for number, part in self.commits(table).items()}

    def group(self) -> ConsumerGroupDescription:
        name = f"{self.name}-sink"
        found: ConsumerGroupDescription = self.source.admin.describe_consumer_groups([name])[name].result(60)
        return found

    def be_patient(self) -> None:
        """A sink that stands still for long on a busy machine keeps its place in the group: where that is counted."""
        group = ConfigResource(ConfigResource.Type.GROUP, f"{self.name}-sink")
        group.add_incremental_config(
            ConfigEntry("consumer.session.timeout.ms", "60000", incremental_operation=AlterConfigOpType.SET)
        )
        self.source.admin.incremental_alter_configs([group])[group].result(60)

    def members(self) -> set[str]:
        return {member.member_id for member in self.group().members}

    def indices(self, table: str = "shop.orders") -> list[str]:
        """Every index that was made for a table, the oldest first."""
        pattern = f"{self.alias(table)}.*"
        return sorted(self.client.indices.get(index=pattern, features="aliases", expand_wildcards="all").body)

    def behind_alias(self, table: str = "shop.orders") -> list[str]:
        """Where searches go."""
        return list(self.client.indices.get_alias(name=self.alias(table)).body)

    def close(self) -> None:
        for number, pipeline in enumerate(self._sinks):
            pipeline.close()
            print(f"--- sink {number} ---\n{pipeline.log('sink')[-6000:]}")  # pytest shows it when the test failed
        mine = [name for table in self.source.tables for name in self.indices(table)]
        self.client.options(ignore_status=404).indices.delete(index=mine or ["none-at-all"], ignore_unavailable=True)
        self.client.close()
        self.source.close()


def status(sink: Pipeline) -> dict[str, Any]:
    """What the sink says about itself; empty while its port is not open."""
    connection = http.client.HTTPConnection(sink.listen["sink"], timeout=60)
    try:
        connection.request("GET", "/status", headers={"Host": "localhost"})
        found: dict[str, Any] = orjson.loads(connection.getresponse().read())
    except OSError:
        return {}
    finally:
        connection.close()
    return found


def details(sink: Pipeline) -> Mapping[str, Any]:
    """What is behind its status; 0 for everything while its port is not open."""
    return Counter(status(sink).get("details", {}))


def outcomes(sink: Pipeline) -> Counter[str]:
    """How many items of bulk requests ended how, since the sink's start; `folded` were not sent."""
    connection = http.client.HTTPConnection(sink.listen["sink"], timeout=60)
    try:
        connection.request("GET", "/metrics", headers={"Host": "localhost"})
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    found: Counter[str] = Counter()
    for outcome, number in re.findall(r'^tidemark_sink_items_total\{.*outcome="(\w+)"\} (\S+)$', text, re.MULTILINE):
        found[outcome] += int(float(number))
    return found


def reason(sink: Pipeline) -> str:
    return str(status(sink).get("reason", ""))


def ready(sink: Pipeline) -> bool:
    return bool(status(sink).get("ready"))


def letters(world: World) -> list[DeadLetter]:
    """Every dead letter of the source."""
    consumer = Consumer(
        {"bootstrap.servers": world.servers.kafka.bootstrap_servers, "group.id": "t", "enable.partition.eof": True}
    )
    consumer.assign([TopicPartition(deadletter_topic(world.name), 0, 0)])
    found = []
    while (message := consumer.poll(60)) is not None and not message.error():
        found.append(DeadLetter.model_validate_json(message.value()))
    consumer.close()
    return found
