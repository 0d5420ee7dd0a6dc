"""A topic and the index that it should end in, written side by side; and what is done to the index."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.elastic import Elastic, Index
from bench.errors import BenchError
from bench.sink.rows import PARTITIONS, first_seq, key, row, table, value
from ops.catalog import schema_key
from ops.elastic import RAW
from ops.kafka import topic_ids
from schemas.document import cdc_block, document
from schemas.key import document_id, key_text, partition_of
from schemas.names import schema_topic

_PER_COMMIT = 20_000
_ITEMS = 2000
_TIMEOUT_S = 120
_SENDERS = 3


class Placed(NamedTuple):
    """A row's last event."""

    number: int
    partition: int
    offset: int
    seq: int
    ts_ms: int


class World:
    """One source with one table. `rows`: number -> its last event; `written`: how many events there are."""

    def __init__(self, kafka: str, elastic: Elastic, source: str) -> None:
        self._kafka = kafka
        self.source = source
        self.table = table(source)
        self.index = Index(elastic, self.table)
        self.rows: dict[int, Placed] = {}
        self.written = 0
        self._next = [0] * PARTITIONS
        self._client = elastic.client(serializers=RAW, connections_per_node=_SENDERS)
        self._admin = AdminClient({"bootstrap.servers": kafka})
        for name, partitions in ((schema_topic(source), 1), (self.table.topic, PARTITIONS)):
            made = self._admin.create_topics([NewTopic(name, partitions, 1, config={"cleanup.policy": "compact"})])
            made[name].result(_TIMEOUT_S)
        self._producer = Producer(
            {"bootstrap.servers": kafka, "transactional.id": f"{source}-bench", "linger.ms": 5, "log_level": 0,
             "compression.type": "lz4"}
        )  # fmt: skip
        self._producer.init_transactions(_TIMEOUT_S)
        layout = {"key": schema_key(self.table), "value": orjson.dumps(self.table.to_json())}
        self._commit({(schema_topic(source), 0): [layout]})
        self.topic_id = topic_ids(self._admin, [self.table.topic], kafka)[self.table.topic]
        self._group = Consumer({"bootstrap.servers": kafka, "group.id": f"{source}-sink", "enable.auto.commit": False})
        self.index.make()

    def fill(self, count: int) -> None:
        """Rows 1 to `count`, in the topic and in the index."""
        for start in range(1, count + 1, _PER_COMMIT):
            self.write([(number, first_seq(number)) for number in range(start, min(start + _PER_COMMIT, count + 1))])

    def write(self, rows: Iterable[tuple[int, int]]) -> None:
        """Commit these rows (number and seq) in one transaction, index them, commit the group's offsets."""
        now_ms = int(time.time() * 1000)
        batches: dict[tuple[str, int], list[dict[str, Any]]] = {}
        written = []
        for number, seq in rows:
            raw = key(number)
            part = partition_of(raw, PARTITIONS)
            batch = batches.setdefault((self.table.topic, part), [])
            batch.append({"key": raw, "value": value(self.source, number, now_ms, seq)})
            written.append(Placed(number, part, self._next[part], seq, now_ms))
            self._next[part] += 1
        self._commit(batches)
        self.written += len(written)
        for _, part in batches:
            self._next[part] += 1  # the transaction's marker
        self.rows |= {placed.number: placed for placed in written}
        self.put(written)
        places = [TopicPartition(self.table.topic, part, offset) for part, offset in enumerate(self._next)]
        self._group.commit(offsets=places, asynchronous=False)

    def _commit(self, batches: dict[tuple[str, int], list[dict[str, Any]]]) -> None:
        self._producer.begin_transaction()
        for (topic, partition), messages in batches.items():
            if self._producer.produce_batch(topic, messages, partition=partition) < len(messages):
                raise BenchError("the producer's queue is full", where=topic)
        self._producer.commit_transaction(_TIMEOUT_S)

    def put(self, rows: Sequence[Placed]) -> None:
        """Index these rows as their events say."""
        self._bulk(rows, self._lines)

    def remove(self, rows: Sequence[Placed]) -> None:
        """Lose their documents."""
        self._bulk(rows, lambda placed: orjson.dumps({"delete": {"_id": _id(placed.number)}}))

    def _bulk(self, rows: Sequence[Placed], lines: Callable[[Placed], bytes]) -> None:
        bodies = (b"\n".join([*map(lines, rows[start : start + _ITEMS]), b""]) for start in range(0, len(rows), _ITEMS))
        with ThreadPoolExecutor(_SENDERS) as pool:
            for answer in pool.map(self._send, bodies):
                if answer["errors"]:
                    raise BenchError("Elasticsearch refused documents", where=self.index.name)

    def _send(self, body: bytes) -> Any:
        headers = {"content-type": "application/x-ndjson", "accept": "application/json"}
        answer = self._client.perform_request("POST", f"/{self.index.name}/_bulk", headers=headers, body=body)
        return orjson.loads(answer.body)

    def _lines(self, placed: Placed) -> bytes:
        text = key_text(key(placed.number))
        block = cdc_block(
            key=text, topic_id=self.topic_id, partition=placed.partition, offset=placed.offset, seq=placed.seq,
            ts_ms=placed.ts_ms,
        )  # fmt: skip
        action = orjson.dumps({"index": {"_id": document_id(text)}})
        return action + b"\n" + orjson.dumps(document(row(placed.number), block))

    def close(self) -> None:
        self.index.close()
        self._client.close()
        self._group.close()
        found = self._admin.list_topics(timeout=_TIMEOUT_S).topics
        mine = [name for name in found if name.startswith(f"{self.source}.")]
        for future in self._admin.delete_topics(mine).values():
            future.result(_TIMEOUT_S)


def _id(number: int) -> str:
    return document_id(key_text(key(number)))
