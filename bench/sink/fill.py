"""Fills a topic as cdc would: compacted, partitioned by key, in Kafka transactions, with its table in `__schema`."""

from __future__ import annotations

import time
from typing import Any

import orjson
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.errors import BenchError
from bench.sink.rows import PARTITIONS, Filled, key, table, value
from ops.catalog import schema_key
from ops.kafka import topic_ids
from schemas.key import partition_of
from schemas.names import schema_topic

_PER_COMMIT = 20_000
_TIMEOUT_S = 60


class Filler:
    """Plays cdc for one source. `rows`: how many there are, numbered from 1."""

    def __init__(self, kafka: str, source: str) -> None:
        self._kafka = kafka
        self._source = source
        self._table = table(source)
        self.rows = 0
        self._admin = AdminClient({"bootstrap.servers": kafka})
        for name, partitions in ((schema_topic(source), 1), (self._table.topic, PARTITIONS)):
            config = {"cleanup.policy": "compact", "delete.retention.ms": "604800000"}
            self._admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(_TIMEOUT_S)
        self._producer = Producer(
            {"bootstrap.servers": kafka, "transactional.id": f"{source}-bench", "linger.ms": 5, "log_level": 0,
             "compression.type": "lz4"}
        )  # fmt: skip
        self._producer.init_transactions(_TIMEOUT_S)
        layout = {"key": schema_key(self._table), "value": orjson.dumps(self._table.to_json())}
        self._commit({(schema_topic(source), 0): [layout]})

    def fill(self, count: int) -> Filled:
        """Append so many rows."""
        until = self.rows + count
        while self.rows < until:
            self.commit(min(_PER_COMMIT, until - self.rows))
        topic_id = topic_ids(self._admin, [self._table.topic], self._kafka)[self._table.topic]
        return Filled(source=self._source, topic_id=topic_id, rows=self.rows)

    def commit(self, count: int) -> None:
        """Append so many rows in one transaction; they are committed when this returns."""
        now_ms = int(time.time() * 1000)
        batches: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for number in range(self.rows + 1, self.rows + count + 1):
            raw = key(number)
            batch = batches.setdefault((self._table.topic, partition_of(raw, PARTITIONS)), [])
            batch.append({"key": raw, "value": value(self._source, number, now_ms)})
        self._commit(batches)
        self.rows += count

    def _commit(self, batches: dict[tuple[str, int], list[dict[str, Any]]]) -> None:
        self._producer.begin_transaction()
        for (topic, partition), messages in batches.items():
            if self._producer.produce_batch(topic, messages, partition=partition) < len(messages):
                raise BenchError("the producer's queue is full", where=topic)
        self._producer.commit_transaction(_TIMEOUT_S)

    def close(self) -> None:
        """Remove the source's topics."""
        found = self._admin.list_topics(timeout=_TIMEOUT_S).topics
        mine = [name for name in found if name.startswith(f"{self._source}.")]
        for future in self._admin.delete_topics(mine).values():
            future.result(_TIMEOUT_S)
