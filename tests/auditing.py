"""A small world for audits: one table whose topic and index the test fills itself, by no code of cdc or sink."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import orjson
from confluent_kafka import Consumer, IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec
from elasticsearch import Elasticsearch

from auditor.audit import audit
from auditor.run_context import Context
from ops.kafka import common, consumer, producer, topic_ids
from ops.settings import Settings
from runner import until
from schemas import names
from schemas.deadletter import DeadLetter
from schemas.document import cdc_block, document
from schemas.key import document_id, kafka_key, key_text, partition_of
from schemas.mapping import table_mapping
from schemas.report import AuditReport, FindingClass
from schemas.table import Column, ColumnType, Table

STEP = 1024
FIRST = 1_300_000 << 39


class Row:
    """One committed record, as the world remembers it."""

    def __init__(self, key: dict[str, Any], op: str, seq: int, after: dict[str, Any] | None, below: int = 0) -> None:
        self.key, self.op, self.seq, self.after, self.below = key, op, seq, after, below
        self.partition = self.offset = -1
        self.text = "" if op == "t" else key_text(kafka_key(key))
        self.id = "" if op == "t" else document_id(self.text)
        self.ts_ms = int(time.time() * 1000)

    def source(self, topic_id: str, rev: int = 0, fields: dict[str, Any] | None = None) -> dict[str, Any]:
        block = cdc_block(
            key=self.text, topic_id=topic_id, partition=self.partition, offset=self.offset, seq=self.seq,
            ts_ms=self.ts_ms, rev=rev,
        )  # fmt: skip
        return {**fields, "_cdc": block} if fields is not None else document(self.after or {}, block)


class World:
    """`write` commits changes to the topic, `sync` plays the sink, `audit` audits."""

    def __init__(
        self, settings: Settings, client: Elasticsearch, *, partitions: int = 3, table: str = "things",
        key: tuple[str, ...] = ("id",), topic_config: dict[str, str] | None = None,
        made: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda after: after,
    ) -> None:  # fmt: skip
        self.made = made  # the document of a row, without what the sink adds
        self.settings, self.es, self.partitions = settings, client, partitions
        self.name = settings.source.name
        columns = tuple(Column(name=name, type=ColumnType.VARCHAR, length=3072) for name in (*key, "text"))
        self.key = key
        self.table = Table(
            db="shop",
            name=table,
            version=1,
            columns=columns,
            primary_key=key,
            topic=names.topic(self.name, "shop", table),
        )
        self.topic = self.table.topic
        self.alias = names.alias(self.topic)
        self.index = names.index(self.alias)
        self.rows: list[Row] = []
        self.synced = 0
        self._seq = FIRST
        self._admin = AdminClient(common(settings.kafka, "world"))
        self._producer: Producer = producer(settings.kafka, "world", transactional_id=f"{self.name}.{table}.world")
        self._producer.init_transactions(60)
        self._make_topic(names.schema_topic(self.name), 1, {})
        self._make_topic(self.topic, partitions, topic_config or {"cleanup.policy": "compact"})
        self.topic_id = topic_ids(self._admin, [self.topic], "")[self.topic]
        record = (names.schema_topic(self.name), orjson.dumps({"table": self.table.full_name, "version": 1}))
        self._transaction([(*record, 0, orjson.dumps(self.table.to_json()), None, lambda *_: None)])
        self.make_index()

    def _make_topic(self, topic: str, partitions: int, config: dict[str, str]) -> None:
        if topic not in self._admin.list_topics(timeout=60).topics:
            self._admin.create_topics([NewTopic(topic, partitions, 1, config=config)])[topic].result(60)
            _await(lambda: topic in topic_ids(self._admin, [topic], ""))

    def mappings(self) -> dict[str, Any]:
        about = {"format": 1, "source": self.name, "table": self.table.full_name, "topic": self.topic}
        return {**table_mapping(self.table, unsigned_long=False), "_meta": {"tidemark": {**about, "table_version": 1}}}

    def make_index(self, *, one_shard_only: bool = False) -> None:
        self.es.indices.create(
            index=self.index, aliases={self.alias: {}}, mappings=self.mappings(),
            settings={"number_of_shards": 2, "number_of_replicas": 0, "gc_deletes": "5m", "refresh_interval": "1s",
                      **({"routing.allocation.total_shards_per_node": 1} if one_shard_only else {})},
            wait_for_active_shards=0 if one_shard_only else 1,
        )  # fmt: skip

    # -- the topic -------------------------------------------------------------------------------------------------

    def put(self, *keys: Any, text: str = "v", partition: int | None = None) -> list[Row]:
        return self._commit([self._row("c", key, {"text": text}) for key in keys], partition)

    def drop(self, *keys: Any, partition: int | None = None, lone: bool = False) -> list[Row]:
        """Deletes, each with its tombstone; `lone`: the tombstone alone, as compaction leaves it."""
        return self._commit([self._row("d", key, None) for key in keys], partition, lone=lone)

    def barrier(self, below: int | None = None) -> None:
        """In every partition."""
        self._seq += STEP
        self._commit([Row({}, "t", self._seq, None, below or self._seq) for _ in range(self.partitions)], None)

    def row(self, key: Any) -> Row:
        """A row with that key, which nobody writes."""
        return Row(self._columns(key), "c", 0, None)

    def _columns(self, key: Any) -> dict[str, Any]:
        values = key if isinstance(key, tuple) else (key,)
        return dict(zip(self.key, values, strict=True))

    def _row(self, op: str, key: Any, after: dict[str, Any] | None) -> Row:
        self._seq += STEP
        columns = self._columns(key)
        return Row(columns, op, self._seq, None if after is None else {**columns, **after})

    def _commit(self, rows: list[Row], partition: int | None, *, lone: bool = False) -> list[Row]:
        self._transaction([item for n, row in enumerate(rows) for item in self._records(row, n, partition, lone=lone)])
        self.rows += rows
        return rows

    def _records(self, row: Row, number: int, partition: int | None, *, lone: bool) -> list[tuple[Any, ...]]:
        key = b'"barrier"' if row.op == "t" else kafka_key(row.key)
        row.partition = number if row.op == "t" else partition_of(key, self.partitions)
        if partition is not None:
            row.partition = partition
        source = {"ts_ms": row.ts_ms, "db": "shop", "table": self.table.name, "seq": row.seq, "table_version": 1}
        value: dict[str, Any] = {"before": None, "after": row.after, "source": source, "op": row.op}
        if row.op == "t":
            value = {"op": "t", "source": source, "below": row.below}

        def placed(_error: Any, message: Any) -> None:
            row.offset = message.offset()

        event = (self.topic, key, row.partition, orjson.dumps(value), None, placed)
        tombstone = (self.topic, key, row.partition, None, [("seq", str(row.seq).encode())], placed)
        if row.op != "d":
            return [event]
        return [tombstone] if lone else [event, tombstone]

    def _transaction(self, records: Sequence[tuple[Any, ...]]) -> None:
        """Kafka answers a commit before it has written its markers: whoever looks after this finds them."""
        self._producer.begin_transaction()
        self.produce(records)
        self._producer.commit_transaction(60)
        self._await_markers({TopicPartition(topic, partition) for topic, _, partition, *_ in records})

    def _await_markers(self, parts: Iterable[TopicPartition]) -> None:
        written = self._ends(parts, IsolationLevel.READ_UNCOMMITTED)

        def stable() -> bool:
            return all(end >= written[part] for part, end in self._ends(written, IsolationLevel.READ_COMMITTED).items())

        until(stable, "the end of the transaction")

    def _ends(self, parts: Iterable[TopicPartition], level: IsolationLevel) -> dict[TopicPartition, int]:
        asked = self._admin.list_offsets(dict.fromkeys(parts, OffsetSpec.latest()), isolation_level=level)
        return {part: future.result(60).offset for part, future in asked.items()}

    def produce(self, records: Iterable[tuple[Any, ...]]) -> None:
        for topic, key, partition, value, headers, done in records:
            self._producer.produce(topic, value, key=key, partition=partition, headers=headers or [], on_delivery=done)
        self._producer.flush(60)

    def hang(self, key: Any) -> Callable[[], None]:
        """Leave a transaction open over a record; what is returned aborts it."""
        records = self._records(self._row("c", key, {"text": "open"}), 0, None, lone=False)
        self._producer.begin_transaction()
        self.produce(records)

        def abort() -> None:
            self._producer.abort_transaction(60)
            self._await_markers({TopicPartition(topic, partition) for topic, _, partition, *_ in records})

        return abort

    # -- the sink --------------------------------------------------------------------------------------------------

    def sync(self, count: int | None = None, *, skip: Callable[[Row], bool] = lambda _row: False) -> None:
        """Apply what was committed to the topic and commit the offsets; `count`: only that many records more.

        `skip`: records that are lost on the way.
        """
        rows = self.rows[self.synced :] if count is None else self.rows[self.synced : self.synced + count]
        for start in range(0, len(rows), 2000):
            self._bulk([row for row in rows[start : start + 2000] if not skip(row)])
        self.synced += len(rows)
        self.commit_offsets()

    def _bulk(self, rows: list[Row]) -> None:
        operations: list[dict[str, Any]] = []
        for row in rows:
            target = {"_index": self.index, "_id": row.id, "version": row.seq, "version_type": "external"}
            if row.op == "t":
                self._bulk_now(operations)
                operations = []
                self._sweep(row)
            elif row.after is None or (fields := self.made(row.after)) is None:
                operations.append({"delete": target})
            else:
                operations += [{"index": target}, row.source(self.topic_id, fields=fields)]
        self._bulk_now(operations)

    def _bulk_now(self, operations: list[dict[str, Any]]) -> None:
        if operations:
            answer = self.es.bulk(operations=operations)
            bad = [item for item in answer["items"] if next(iter(item.values()))["status"] not in (200, 201, 404, 409)]
            assert not bad, bad[:3]

    def _sweep(self, row: Row) -> None:
        self.es.indices.refresh(index=self.index)
        query = {
            "bool": {
                "filter": [{"term": {"_cdc.partition": row.partition}}, {"range": {"_cdc.seq": {"lt": row.below}}}]
            }
        }
        hits = self.es.search(index=self.index, query=query, size=10_000)["hits"]["hits"]
        self._bulk_now(
            [
                {"delete": {"_index": self.index, "_id": hit["_id"], "version": row.below, "version_type": "external"}}
                for hit in hits
            ]
        )

    def _end(self, client: Consumer, partition: int, last: int) -> int | None:
        """The last stable offset, once it is past `last`: markers may follow after the commit was answered."""
        end: int = client.get_watermark_offsets(TopicPartition(self.topic, partition), timeout=60)[1]
        return end + 1 if end > last else None  # 0 is an end, too

    def commit_offsets(self, metadata: str = "") -> None:
        """Past everything that was synced, per partition: the next record's offset, or the last stable offset."""
        client: Consumer = consumer(self.settings.kafka, "world", group_id=self.settings.sink_group)
        try:
            parts = []
            for number in range(self.partitions):
                waiting = [row.offset for row in self.rows[self.synced :] if row.partition == number]
                last = max((row.offset for row in self.rows if row.partition == number), default=-1)
                end = until(partial(self._end, client, number, last), "the end of the last transaction") - 1
                parts.append(TopicPartition(self.topic, number, min(waiting, default=end), metadata))
            client.commit(offsets=parts, asynchronous=False)
        finally:
            client.close()

    def dead_letter(self, row: Row) -> None:
        topic = names.deadletter_topic(self.name)
        self._make_topic(topic, 1, {"cleanup.policy": "compact"})
        letter = DeadLetter(
            table=self.table.full_name, topic=self.topic, topic_id=self.topic_id, partition=row.partition,
            offset=row.offset, key=kafka_key(row.key).decode(), key_text=row.text, seq=row.seq, index=self.alias,
            id=row.id, status=400, type="document_parsing_exception", reason="no", ts_ms=row.ts_ms, value=None,
        )  # fmt: skip
        self._transaction([(topic, letter.record_key(), 0, letter.model_dump_json().encode(), None, lambda *_: None)])

    # -- harm ------------------------------------------------------------------------------------------------------

    def remove(self, *ids: str) -> None:
        """Plain deletes."""
        for id_ in ids:
            self.es.delete(index=self.index, id=id_)

    def overwrite(self, id_: str, source: dict[str, Any]) -> None:
        """A plain index request, as a careless script or a restored backup sends it."""
        self.es.index(index=self.index, id=id_, document=source)

    # -- looking ---------------------------------------------------------------------------------------------------

    def audit(self, *tables: str, deep: bool = False) -> AuditReport:
        return audit(Context(settings=self.settings, deep=deep), tables)

    def document(self, id_: str) -> dict[str, Any] | None:
        found = self.es.options(ignore_status=404).get(index=self.index, id=id_)
        return dict(found.body) if found["found"] else None

    def close(self) -> None:
        self.es.options(ignore_status=404).indices.delete(index=self.index)
        topics = [topic for topic in self._admin.list_topics(timeout=60).topics if topic.startswith(f"{self.name}.")]
        for future in self._admin.delete_topics(topics).values() if topics else ():
            future.result(60)


def found(report: AuditReport) -> dict[str, list[str]]:
    """class -> ids, sorted; the cleanest has none."""
    made: dict[str, list[str]] = {}
    for finding in report.findings():
        made.setdefault(finding.class_.value, []).append(finding.id)
    return {kind: sorted(ids) for kind, ids in made.items()}


def ids(count: int, start: int = 0) -> list[str]:
    return [str(number) for number in range(start, start + count)]


def kinds(report: AuditReport) -> set[FindingClass]:
    return {finding.class_ for finding in report.findings()}


def _await(condition: Callable[[], bool], timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.05)
