"""Change events made by hand, in the shape of DESIGN's envelope, published in Kafka transactions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from ops.catalog import schema_key
from schemas.key import BARRIER_KEY, kafka_key, partition_of
from schemas.names import schema_topic, topic
from schemas.table import Column, ColumnType, Table

STEP = 1024
ORDERS = (Column(name="id", type=ColumnType.BIGINT), Column(name="note", type=ColumnType.VARCHAR))


@dataclass(kw_only=True)
class Source:
    """Plays cdc for one source: a table's topic, its layout in `__schema`, events with growing seqs."""

    bootstrap_servers: str
    name: str
    partitions: int = 3
    seq: int = 1 << 50
    tables: dict[str, Table] = field(default_factory=dict)
    produced: int = 0  # records of tables
    age_s: int = 0  # so long ago is when Kafka says that records were published

    def __post_init__(self) -> None:
        config = {"bootstrap.servers": self.bootstrap_servers}
        self.admin = AdminClient(config)
        self.producer = Producer({**config, "transactional.id": f"{self.name}-test", "linger.ms": 0})
        self.producer.init_transactions(60)

    def make_topic(self, name: str, partitions: int, **config: str) -> None:
        settings = {"cleanup.policy": "compact", "delete.retention.ms": "604800000", **config}
        self.admin.create_topics([NewTopic(name, partitions, 1, config=settings)])[name].result(60)

    def table(
        self, name: str = "shop.orders", columns: tuple[Column, ...] = ORDERS, *, version: int = 1,
        primary_key: tuple[str, ...] = ("id",), announce: bool = True, **config: str,
    ) -> Table:  # fmt: skip
        """Make a table, or a new version of it, known; its topic exists after that."""
        db, _, short = name.partition(".")
        found = Table(
            db=db, name=short, version=version, columns=columns, primary_key=primary_key,
            topic=topic(self.name, db, short),
        )  # fmt: skip
        for place, count, more in ((schema_topic(self.name), 1, {}), (found.topic, self.partitions, config)):
            if place not in self.admin.list_topics(timeout=60).topics:
                self.make_topic(place, count, **more)
        if announce:
            self.announce(found)
        self.tables[name] = found
        return found

    def announce(self, table: Table) -> None:
        value = orjson.dumps(table.to_json())
        self.transact(lambda: self.producer.produce(schema_topic(self.name), value, key=schema_key(table)))

    def transact(self, work: Callable[[], object], *, abort: bool = False) -> None:
        self.producer.begin_transaction()
        try:
            work()
        except KafkaException:
            abort = True
            raise
        finally:
            if abort:
                self.producer.flush(60)
                self.producer.abort_transaction(60)
            else:
                self.producer.commit_transaction(60)

    def next_seq(self) -> int:
        self.seq += STEP
        return self.seq

    def envelope(self, table: Table, op: str, before: Any, after: Any, seq: int, **more: Any) -> bytes:
        now_ms = int(time.time() * 1000)
        source = {
            "version": "0.1.0", "connector": "mysql", "name": self.name, "ts_ms": now_ms, "ts_us": now_ms * 1000,
            "snapshot": "false", "db": table.db, "table": table.name, "table_version": table.version, "server_id": 1,
            "gtid": None, "file": "bin.1", "pos": 4, "row": 0, "thread": 1, "seq": seq,
        }  # fmt: skip
        event = {"before": before, "after": after, "source": source, "transaction": None, "op": op}
        return orjson.dumps({**event, "ts_ms": now_ms, "ts_us": now_ms * 1000, **more})

    def _key(self, table: Table, row: Mapping[str, Any]) -> bytes:
        return kafka_key({name: row[name] for name in table.primary_key})

    def put(self, row: Mapping[str, Any], table: str = "shop.orders", *, seq: int = 0, op: str = "u") -> int:
        """Queue an upsert; within a transaction. Returns its seq."""
        found = self.tables[table]
        seq = seq or self.next_seq()
        key = self._key(found, row)
        value = self.envelope(found, op, None, row, seq)
        self.produce(found.topic, partition_of(key, self.partitions), key, value)
        return seq

    def delete(
        self,
        row: Mapping[str, Any],
        table: str = "shop.orders",
        *,
        seq: int = 0,
        event: bool = True,
        stone: bool = True,
    ) -> int:
        """Queue a delete and its tombstone, or one of the two alone."""
        found = self.tables[table]
        seq = seq or self.next_seq()
        key = self._key(found, row)
        number = partition_of(key, self.partitions)
        if event:
            self.produce(found.topic, number, key, self.envelope(found, "d", row, None, seq))
        if stone:
            self.produce(found.topic, number, key, None, [("seq", str(seq).encode())])
        return seq

    def barrier(self, table: str = "shop.orders", *, below: int = 0) -> int:
        """Queue a barrier in every partition; `below` is its own seq unless given."""
        found = self.tables[table]
        seq = self.next_seq()
        for number in range(self.partitions):
            value = orjson.loads(self.envelope(found, "t", None, None, seq)) | {"below": below or seq}
            self.produce(found.topic, number, BARRIER_KEY, orjson.dumps(value))
        return seq

    def produce(
        self, topic_name: str, partition: int, key: bytes, value: bytes | None, headers: list[Any] | None = None
    ) -> None:
        when_ms = int((time.time() - self.age_s) * 1000)
        while True:
            try:
                self.producer.produce(
                    topic_name, value, key=key, partition=partition, headers=headers or [], timestamp=when_ms
                )
            except BufferError:
                self.producer.poll(0.1)
            else:
                self.produced += 1
                return

    def publish(self, *rows: Mapping[str, Any], table: str = "shop.orders") -> None:
        """Upsert rows in one transaction."""
        self.transact(lambda: [self.put(row, table) for row in rows])

    def close(self) -> None:
        """Remove every topic of this source."""
        mine = [name for name in self.admin.list_topics(timeout=60).topics if name.startswith(f"{self.name}.")]
        for future in self.admin.delete_topics(mine).values() if mine else ():
            future.result(60)
