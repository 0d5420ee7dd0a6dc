"""What Debezium writes: recorded from the real connector, and played into topics of a test's own.

`python tests/debezium.py` records it anew (MySQL, Kafka and a JVM for a minute); `TIDEMARK_TEST_*` names servers.
"""

from __future__ import annotations

import gzip
import os
import struct
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.capture.debezium import Debezium, Setup
from bench.servers import Servers, servers
from oracle import mysql_rows
from runner import until

RECORDINGS = Path(__file__).with_name("recordings")
PARTITIONS = {"orders": 3, "pairs": 3, "kinds": 1, "emptied": 1}
SCHEMA = (
    "CREATE TABLE orders (id BIGINT PRIMARY KEY, note VARCHAR(50), price DECIMAL(10,2))",
    "CREATE TABLE pairs (a VARCHAR(20), b DATE, v INT, PRIMARY KEY (a, b))",
    "CREATE TABLE emptied (id INT PRIMARY KEY, v INT)",
    """CREATE TABLE kinds (id INT PRIMARY KEY, t TINYINT, bu BIGINT UNSIGNED, de DECIMAL(30,10), dz DECIMAL(5,0),
       f FLOAT, d DOUBLE, b1 BIT(1), b20 BIT(20), c CHAR(5), v VARCHAR(50), x TEXT, vb VARBINARY(10), bl BLOB, da DATE,
       t0 TIME, t6 TIME(6), dt DATETIME, d3 DATETIME(3), d6 DATETIME(6), ts TIMESTAMP NULL, y YEAR, e ENUM('one','two'),
       s SET('a','b','c'), j JSON)""",
)
BEFORE = (
    "INSERT INTO orders VALUES (1,'first','1.10'),(2,'snapshot','-0.05')",
    "INSERT INTO emptied VALUES (1,1),(2,2)",
)
AFTER = (
    """INSERT INTO orders WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i+1 FROM n WHERE i<144)
       SELECT i,'many',i/10 FROM n""",
    "UPDATE orders SET note='changed', price=price+1 WHERE id BETWEEN 100 AND 120",
    "DELETE FROM orders WHERE id IN (101,110,144)",
    "UPDATE orders SET id=id+1000 WHERE id IN (102,112)",
    "INSERT INTO pairs VALUES ('a|b','2026-11-21',1),('','1000-01-01',2),('ü','9999-12-31',3),('gone','2000-02-29',4)",
    "DELETE FROM pairs WHERE a='gone'",
    """INSERT INTO kinds VALUES (1,-128,9223372036854775807,-12345678901234567890.0123456789,-99999,1.5,-2.25,1,524289,
       'c','v','ü',X'00FF',X'DEADBEEF','1969-07-20','-838:59:58','00:00:00.000001','1969-12-31 23:59:59',
       '2026-11-21 10:26:57.231','2026-11-21 10:26:57.231456','2026-11-21 10:26:57',1999,'two','a,c',
       '{"k":[1,2.5,null,"x"]}')""",
    "INSERT INTO kinds (id) VALUES (2)",
    """INSERT INTO kinds (id,de,dz,b1,s,j,dt,t6) VALUES
       (3,0.0000000001,0,0,'','3','2026-11-21 00:00:00','23:59:59.100000')""",
    "TRUNCATE emptied",
    "INSERT INTO emptied VALUES (2,22),(3,33)",
)
LAST = "INSERT INTO orders VALUES (9999,'last',NULL)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of a table's topic."""

    table: str
    partition: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Records in the order of each partition, and what MySQL held in the end: table -> _id -> row."""

    prefix: str
    db: str
    records: list[Record]
    rows: Mapping[str, Mapping[str, Mapping[str, Any]]]

    def topic(self, table: str, prefix: str = "") -> str:
        return f"{prefix or self.prefix}.{self.db}.{table}"


@contextmanager
def connector(found: Servers, db: str, *, schemas: bool, folder: Path) -> Iterator[str]:
    """The real connector, reading a database with the tables of `SCHEMA` from its snapshot on; its topics' prefix.

    The topics are left where they are.
    """
    debezium = Debezium(found, folder, db, lambda sentence: print(sentence, file=sys.stderr))
    admin = AdminClient({"bootstrap.servers": found.kafka})
    topics = [NewTopic(f"{debezium.prefix}.{db}.{table}", number, 1) for table, number in PARTITIONS.items()]
    for future in admin.create_topics(topics).values():
        future.result(60)
    flag = str(schemas).lower()
    setup = Setup(
        name="debezium",
        worker={
            "key.converter.schemas.enable": flag,
            "value.converter.schemas.enable": flag,
            "offset.flush.interval.ms": "1000",
        },
        connector={
            "snapshot.mode": "initial",
            "snapshot.locking.mode": "none",
            "skipped.operations": "none",
            "schema.history.internal.store.only.captured.databases.ddl": "true",
        },
    )
    with debezium._start(setup, folder / "state") as child:
        try:
            yield debezium.prefix
        except AssertionError:
            print(child.tail(), file=sys.stderr)
            raise
        child.check()
        child.stop()


def execute(found: Servers, db: str, *statements: str) -> None:
    connection = found.mysql.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"USE `{db}`")
            for statement in statements:
                cursor.execute(statement)
    finally:
        connection.close()


def prepare(found: Servers, db: str) -> None:
    connection = found.mysql.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS `{db}`")
            cursor.execute(f"CREATE DATABASE `{db}` CHARACTER SET utf8mb4")
    finally:
        connection.close()
    execute(found, db, *SCHEMA, *BEFORE)


def read(kafka: str, prefix: str, db: str) -> list[Record]:
    """All that is in the topics now."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "recording", "enable.partition.eof": True})
    places = [
        TopicPartition(f"{prefix}.{db}.{table}", n, 0) for table, count in PARTITIONS.items() for n in range(count)
    ]
    consumer.assign(places)
    records, ended = [], 0
    try:
        while ended < len(places):
            message = consumer.poll(30)
            assert message is not None
            if message.error():
                ended += 1
                continue
            table = (message.topic() or "").rpartition(".")[2]
            records.append(
                Record(table=table, partition=message.partition() or 0, key=message.key(), value=message.value())
            )
        return records
    finally:
        consumer.close()


def rows(found: Servers, db: str) -> dict[str, dict[str, dict[str, Any]]]:
    connection = found.mysql.connect()
    try:
        return {table: mysql_rows(connection, db, table) for table in PARTITIONS}
    finally:
        connection.close()


def record(found: Servers, db: str, *, schemas: bool, folder: Path) -> Recording:
    """Have it write everything."""
    prepare(found, db)
    with connector(found, db, schemas=schemas, folder=folder) as prefix:
        until(lambda: len(read(found.kafka, prefix, db)) >= 4, "the snapshot", 120)
        execute(found, db, *AFTER, LAST)
        until(lambda: any(b"9999" in (r.key or b"") for r in read(found.kafka, prefix, db)), "the last row", 120)
        return Recording(prefix=prefix, db=db, records=read(found.kafka, prefix, db), rows=rows(found, db))


def save(recording: Recording, path: Path) -> None:
    lines = [{"prefix": recording.prefix, "db": recording.db, "rows": recording.rows}]
    for one in recording.records:
        texts = [None if raw is None else raw.decode() for raw in (one.key, one.value)]
        lines.append({"table": one.table, "partition": one.partition, "key": texts[0], "value": texts[1]})
    raw = b"".join(orjson.dumps(line, default=plain, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(raw, mtime=0))


def plain(value: Any) -> Any:
    """A FLOAT as its four bytes: how many digits are shown is a matter of taste."""
    if isinstance(value, float):
        value = struct.pack("<f", value)
    if isinstance(value, bytes):
        return {"float32": value.hex()}
    raise TypeError


def load(name: str) -> Recording:
    """`schemas` or `plain`."""
    lines = [
        orjson.loads(line)
        for line in gzip.decompress((RECORDINGS / f"debezium-{name}.jsonl.gz").read_bytes()).splitlines()
    ]
    head = lines[0]
    records = [
        Record(
            table=line["table"],
            partition=line["partition"],
            key=None if line["key"] is None else line["key"].encode(),
            value=None if line["value"] is None else line["value"].encode(),
        )
        for line in lines[1:]
    ]
    return Recording(prefix=head["prefix"], db=head["db"], records=records, rows=head["rows"])


def clean(kafka: str, prefix: str) -> None:
    """Delete the topics that begin with a prefix."""
    admin = AdminClient({"bootstrap.servers": kafka})
    topics = [name for name in admin.list_topics(timeout=60).topics if name.startswith(f"{prefix}.")]
    for future in admin.delete_topics(topics).values() if topics else ():
        future.result(60)


def play(recording: Recording, kafka: str, prefix: str) -> None:
    """Write a recording into topics that begin with `prefix`; they are made if they are missing."""
    admin = AdminClient({"bootstrap.servers": kafka})
    known = admin.list_topics(timeout=60).topics
    wanted = [(recording.topic(table, prefix), count) for table, count in PARTITIONS.items()]
    missing = [NewTopic(name, count, 1) for name, count in wanted if name not in known]
    for future in admin.create_topics(missing).values() if missing else ():
        future.result(60)
    producer = Producer({"bootstrap.servers": kafka, "enable.idempotence": True})
    for one in recording.records:
        producer.produce(recording.topic(one.table, prefix), one.value, key=one.key, partition=one.partition)
    assert producer.flush(30) == 0


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="debezium-") as folder, servers(Path(folder), print) as found:
        for name, schemas in (("schemas", True), ("plain", False)):
            recording = record(found, f"recorded_{name}", schemas=schemas, folder=Path(folder) / name)
            save(recording, RECORDINGS / f"debezium-{name}.jsonl.gz")
            print(f"{name}: {len(recording.records)} records")


if __name__ == "__main__":
    os.environ.setdefault("TZ", "UTC")
    main()
