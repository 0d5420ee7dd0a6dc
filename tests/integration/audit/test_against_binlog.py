"""The binlog beside the topics: what cdc published is what MySQL committed, and what is not so is named."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
)

from auditor.against import against_binlog
from auditor.against_binlog import BinlogAudit
from auditor.audit import find_subjects
from auditor.cdc_side import CdcSide
from auditor.mysql_server import MysqlServer
from auditor.run_context import Context
from auditor.topic import Topic
from ops.config import load
from runner import Pipeline, until
from schemas.report import AuditReport, AuditStatus
from servers import Kafka, Mysql
from undecided import undecided

pytestmark = pytest.mark.stack

Records = list[tuple[str, int, bytes | None, bytes | None, list[tuple[str, bytes]]]]


def said(report: AuditReport) -> list[tuple[str, str]]:
    return sorted((finding.class_.value, finding.document) for finding in report.findings())


def change(cursor: Any) -> None:
    """Transactions of several tables, of many rows, with changed keys, of a row that is changed twice."""
    cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(50))")
    cursor.execute("CREATE TABLE s (a VARCHAR(20), b BIGINT UNSIGNED, v JSON, PRIMARY KEY (a, b))")
    cursor.execute("CREATE TABLE odd (a BINARY(3) PRIMARY KEY, v DECIMAL(9,2))")
    cursor.execute("CREATE TABLE silent (id INT PRIMARY KEY)")
    cursor.execute("INSERT INTO t VALUES " + ", ".join(f"({n}, 'x')" for n in range(500)))
    for n in range(40):
        cursor.execute("BEGIN")
        cursor.execute("UPDATE t SET v = %s WHERE id BETWEEN %s AND %s", (str(n), n, n + 9))
        cursor.execute("INSERT INTO s VALUES (%s, %s, '{}')", (f"é{n}", 2**64 - 1 - n))
        cursor.execute("UPDATE s SET v = '[1]' WHERE a = %s", (f"é{n}",))
        cursor.execute("UPDATE s SET v = '[2]' WHERE a = %s", (f"é{n}",))
        cursor.execute("INSERT INTO odd VALUES (%s, 1)", (bytes([0, n, 0]),))
        cursor.execute("COMMIT")
    cursor.execute("UPDATE t SET id = id + 1000 WHERE id < 20 ORDER BY id DESC")
    cursor.execute("DELETE FROM t WHERE id BETWEEN 100 AND 120")
    cursor.execute("DELETE FROM odd")
    cursor.execute("BEGIN")
    cursor.execute("INSERT INTO t VALUES (99999, 'never')")
    cursor.execute("ROLLBACK")


class Copy:
    """The topics of a source once more, under another source's name: some records left out, some more than once."""

    def __init__(self, kafka: Kafka, source: str, name: str) -> None:
        self.where = {"bootstrap.servers": kafka.bootstrap_servers}
        self.source, self.name = source, name
        self.admin = AdminClient(self.where)
        self.topics = {
            topic: len(about.partitions)
            for topic, about in self.admin.list_topics(timeout=60).topics.items()
            if topic.startswith(f"{source}.")
        }
        config = {"cleanup.policy": "compact", "min.compaction.lag.ms": "86400000"}
        made = [NewTopic(self.renamed(topic), count, 1, config=config) for topic, count in self.topics.items()]
        for future in self.admin.create_topics(made).values():
            future.result(60)

    def renamed(self, topic: str) -> str:
        return self.name + topic.removeprefix(self.source)

    def read(self) -> Records:
        reader = Consumer({**self.where, "group.id": "copy", "isolation.level": "read_committed",
                           "auto.offset.reset": "earliest", "enable.partition.eof": True})  # fmt: skip
        found: Records = []
        parts = [TopicPartition(topic, n, 0) for topic, count in self.topics.items() for n in range(count)]
        reader.assign(parts)
        open_ = len(parts)
        while open_:
            message = reader.poll(10)
            assert message is not None
            if message.error() is not None:  # the end of a partition
                open_ -= 1
                continue
            place = (message.topic(), message.partition())
            found.append((*place, message.key(), message.value(), list(message.headers() or [])))
        reader.close()
        return found

    def write(self, records: Records) -> None:
        writer = Producer(self.where)
        for topic, number, key, value, headers in records:
            text = value
            if topic.endswith(".__schema") and b'"topic"' in (value or b""):
                text = json.dumps({**json.loads(value), "topic": self.renamed(json.loads(value)["topic"])}).encode()
            writer.produce(self.renamed(topic), text, key=key, partition=number, headers=headers)
        writer.flush(30)

    def close(self) -> None:
        for future in self.admin.delete_topics([self.renamed(topic) for topic in self.topics]).values():
            future.result(60)


def harm(records: Records, database: str, rng: random.Random) -> tuple[Records, list[tuple[str, str]]]:
    """Some left out, some twice, some of a transaction that never was; and what is to be said of it."""
    rows = [n for n, (topic, _, key, value, headers) in enumerate(records)
            if value and topic.endswith((".t", ".s")) and not headers and b"7000" not in (key or b"")]  # fmt: skip
    chosen = rng.sample(rows, 30)
    skipped, twice, invented = set(chosen[:10]), chosen[10:20], chosen[20:]
    made = [record for number, record in enumerate(records) if number not in skipped]
    made += [records[number] for number in twice]
    for number in invented:
        topic, part, key, value, headers = records[number]
        event = json.loads(value or b"")
        event["source"]["gtid"] = event["source"]["gtid"].rpartition(":")[0] + ":999999999"
        made.append((topic, part, key, json.dumps(event).encode(), headers))
    made = made[: len(made) // 2] + [elsewhere(record) for record in made[len(made) // 2 :]]
    expected = [("unpublished", number) for number in skipped]
    expected += [("duplicate", number) for number in twice] + [("unlogged", number) for number in invented]
    return made, sorted((kind, document(records[number], database)) for kind, number in expected)


def elsewhere(record: Any) -> Any:
    """As cdc publishes it from another server, whose binlog has had more files: the same transaction, another place."""
    topic, part, key, value, headers = record
    if not value or "__" in topic or b'"gtid"' not in value:
        return record
    event = json.loads(value)
    event["source"] |= {"file": "bin.900000", "pos": event["source"]["pos"] + 1}
    return topic, part, key, json.dumps(event).encode(), headers


def document(record: Any, database: str) -> str:
    topic, _, key, _, _ = record
    values = list(json.loads(key).values())
    text = str(values[0]) if len(values) == 1 else json.dumps(values, separators=(",", ":"), ensure_ascii=False)
    return f"{database}.{topic.rpartition('.')[2]}/{text}"


def ends_before(act: Callable[[], None]) -> Callable[[Topic, Iterable[int]], dict[int, int]]:
    """The ends of a topic; `act` comes after they were looked at."""
    ends = Topic.ends

    def looked(topic: Topic, partitions: Iterable[int]) -> dict[int, int]:
        found = ends(topic, partitions)
        act()
        return found

    return looked


def lose_first_records(servers: str, topic: str, *, left: bool) -> None:
    """The first five of one partition, or all of them, as by `retention.bytes`."""
    admin = AdminClient({"bootstrap.servers": servers})
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    for name, value in (("cleanup.policy", "compact,delete"), ("retention.bytes", str(1 << 40))):
        resource.add_incremental_config(ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET))
    admin.incremental_alter_configs([resource])[resource].result(60)
    ends = admin.list_offsets({TopicPartition(topic, number): OffsetSpec.latest() for number in range(3)})
    place, future = max(ends.items(), key=lambda one: one[1].result(60).offset)
    lost = 5 if left else future.result(60).offset
    place = TopicPartition(topic, place.partition, lost)

    def deleted() -> bool:
        try:
            return bool(admin.delete_records([place])[place].result(60).low_watermark == lost > 0)
        except KafkaException as error:  # the partition does not know of the new policy yet
            if error.args[0].code() != KafkaError.POLICY_VIOLATION:
                raise
            return False

    until(deleted, "the records are gone")


def test_nothing_skipped_nothing_twice(
    make_pipeline: Callable[..., Pipeline], mysql: Mysql, kafka: Kafka, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = {"cdc": {"tables": [f"{database}.*"], "allow_empty": True}, "audit": {"wait_s": 60}}
    pipeline = make_pipeline("logged", **sections)
    context = Context(settings=load(pipeline.config).settings)
    cursor = mysql.connect(database=database).cursor()
    cursor.execute("FLUSH BINARY LOGS")  # other tests write what this comparison cannot read
    started = datetime.now(UTC)
    pipeline.start("cdc")
    change(cursor)
    cursor.execute("SELECT SLEEP(1.1)")  # the binlog tells whole seconds
    late = datetime.now(UTC).replace(microsecond=0)
    cursor.execute("INSERT INTO t VALUES (70000, 'first')")
    until(lambda: len(find_subjects(context)) == 3, "the tables' layouts")
    with undecided(kafka.bootstrap_servers, f"{pipeline.name}.{database}.t", 3) as end:
        cursor.execute("INSERT INTO t VALUES (70001, 'second')")
        with closing(MysqlServer(context)) as server:
            mark = server.mark()
        monkeypatch.setattr(MysqlServer, "mark", lambda _: mark)  # what others write from here on is not read
        with monkeypatch.context() as patch:
            patch.setattr(Topic, "ends", ends_before(end))  # cdc's position is past the row that nobody can read yet
            report = against_binlog(context)
    assert (report.reason, said(report)) == ("", [])
    assert report.status is AuditStatus.CLEAN
    keys = {table.table.rpartition(".")[2]: table.keys for table in report.tables}
    assert keys == {"t": 500 + 40 * 10 + 20 + 21 + 2, "s": 120, "odd": 80}  # of `silent` cdc knows nothing yet

    copy = Copy(kafka, pipeline.name, f"{pipeline.name}_copy")
    try:
        records = copy.read()
        made, expected = harm(records, database, random.Random(7))
        made = [record for record in made if record[2] != b'{"id":70000}']
        expected = sorted([*expected, ("unpublished", f"{database}.t/70000")])
        copy.write(made)
        settings = context.settings
        other = settings.model_copy(update={"source": settings.source.model_copy(update={"name": copy.name})})
        monkeypatch.setattr(CdcSide, "wait", lambda *_: None)
        report = against_binlog(Context(settings=other))
        assert (report.reason, said(report)) == ("", expected)
        [finding, *_] = [one for one in report.findings() if one.class_.value == "unpublished"]
        assert finding.change is not None
        assert finding.change.gtid
        early, calls = BinlogAudit._since, []

        def since(audit: BinlogAudit, files: Any) -> datetime:
            calls.append(files)
            return early(audit, files) if len(calls) == 1 else late  # compaction goes on while the topics are read

        monkeypatch.setattr(BinlogAudit, "_since", since)
        report = against_binlog(Context(settings=other))
        assert (report.reason, said(report)) == ("", [("unpublished", f"{database}.t/70000")])
        assert sum(table.keys for table in report.tables) == 2
    finally:
        copy.close()
    monkeypatch.setattr(BinlogAudit, "_since", lambda *_: started)  # what was logged before is of other tests
    name = f"{pipeline.name}.{database}.t"
    lose_first_records(kafka.bootstrap_servers, name, left=True)
    report = against_binlog(context)
    assert (report.reason, said(report)) == ("", [])
    table = next(one for one in report.tables if one.topic == name)
    assert table.since > "20"
    assert 2 <= table.keys < keys["t"]
    lose_first_records(kafka.bootstrap_servers, name, left=False)
    report = against_binlog(context)
    assert (report.status, said(report)) == (AuditStatus.INCONCLUSIVE, [])
    assert "has lost all changes that it had" in report.reason
    cursor.connection.close()


def test_what_cannot_be_read_is_inconclusive(
    make_pipeline: Callable[..., Pipeline], mysql: Mysql, database: str, native: str
) -> None:
    pipeline = make_pipeline("compressed", cdc={"tables": [f"{database}.*"], "allow_empty": True}, audit={"wait_s": 60})
    context = Context(settings=load(pipeline.config).settings)
    cursor = mysql.connect(database=database).cursor()
    cursor.execute("FLUSH BINARY LOGS")
    pipeline.start("cdc")
    cursor.execute("CREATE TABLE t (id INT PRIMARY KEY)")
    cursor.execute("INSERT INTO t VALUES (1)")
    cursor.execute("SET SESSION binlog_transaction_compression = ON")
    cursor.execute("INSERT INTO t VALUES (2)")
    until(lambda: find_subjects(context), "the table's layout")
    report = against_binlog(context)
    assert report.status is AuditStatus.INCONCLUSIVE
    assert "compressed transaction" in report.reason
    cursor.connection.close()
