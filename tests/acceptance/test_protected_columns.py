"""A canary in every protected column and statement: it is nowhere but in MySQL."""

from __future__ import annotations

import base64
import hmac
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from cdc.source.native import MISSING
from oracle import documents
from runner import Pipeline, until
from servers import Elastic, Mysql
from topic import read_topics

pytestmark = pytest.mark.stack

POLICIES = {"exclude": ["ssn", "note"], "mask": ["phone", "kind"], "hash": ["email", "photo", "sort"]}


@pytest.fixture
def canary() -> str:
    return f"canary{os.urandom(8).hex()}"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "hash.key"
    path.write_text(f"{os.urandom(32).hex()}\n", encoding="ascii")
    path.chmod(0o600)
    return path


def protecting(database: str, key: Path, **cdc: Any) -> dict[str, Any]:
    table = {f"{database}.people": POLICIES}
    return {"tables": [f"{database}.*"], "heartbeat_s": 1, "hash_key_file": str(key), "table": table, **cdc}


def traces(canary: str) -> list[bytes]:
    """The canary as it is, in hexadecimal digits, and in base64 at each of its three places."""
    raw = canary.encode()
    shifted = [base64.b64encode(b"x" * shift + raw)[4 if shift else 0 : -4] for shift in range(3)]
    return [raw, raw.hex().encode(), *shifted]


def everything_in_kafka(brokers: str, name: str) -> Iterator[bytes]:
    """Keys, values and headers of all records of a source's topics, those of aborted transactions too."""
    consumer = Consumer(
        {"bootstrap.servers": brokers, "group.id": name, "isolation.level": "read_uncommitted",
         "enable.auto.commit": False, "enable.partition.eof": True}
    )  # fmt: skip
    try:
        found = consumer.list_topics(timeout=20).topics
        parts = [TopicPartition(t, p, 0) for t in found if t.startswith(f"{name}.") for p in found[t].partitions]
        consumer.assign(parts)
        ended = 0
        while ended < len(parts):
            message = consumer.poll(20)
            assert message is not None
            if message.error():
                ended += 1
                continue
            yield repr((message.key(), message.value(), message.headers())).encode()
    finally:
        consumer.close()


def people(cursor: Any, canary: str) -> None:
    cursor.execute(
        "CREATE TABLE people (ssn VARCHAR(50), id INT PRIMARY KEY, name TEXT, email VARCHAR(80) CHARACTER SET latin1,"
        f" phone BIGINT, note JSON, kind ENUM('{canary}kind', 'b'), photo BLOB, sort SET('{canary}sort'))"
    )


def write(cursor: Any, canary: str) -> None:
    """Every kind of change."""
    row = (canary, "Ada", f"{canary}@x.org", 4915112345678901, json.dumps({"a": canary, "b": "y" * 200}), 1, canary, 1)
    insert = "INSERT INTO people (id, ssn, name, email, phone, note, kind, photo, sort) VALUES (%s" + ", %s" * 8 + ")"
    cursor.executemany(insert, [(number, *row) for number in range(1, 5)])
    cursor.execute("UPDATE people SET ssn = CONCAT(ssn, 'changed'), email = CONCAT('new', email) WHERE id = 1")
    cursor.execute("UPDATE people SET id = 20 WHERE id = 2")
    cursor.execute("DELETE FROM people WHERE id = 3")
    cursor.execute("UPDATE people SET phone = NULL, email = NULL, note = NULL WHERE id = 4")
    cursor.execute(f"ALTER TABLE people ALTER ssn SET DEFAULT '{canary}', COMMENT '{canary}'")


def test_the_canary_stays_in_mysql(
    make_pipeline: Callable[..., Pipeline],
    tidemark: Callable[..., Any],
    mysql: Mysql,
    elastic: Elastic,
    database: str,
    canary: str,
    key: Path,
) -> None:
    connection = mysql.connect(database=database)
    cursor = connection.cursor()
    people(cursor, canary)
    cursor.execute("SELECT @@gtid_executed")
    start = str(cursor.fetchone()[0]).replace("\n", "")
    pipeline = make_pipeline("canary", cdc=protecting(database, key))
    secret = key.read_text(encoding="ascii").strip()
    pipeline.start("cdc", "sink")
    write(cursor, canary)
    client, alias = elastic.client(), pipeline.alias(database, "people")

    def settled() -> dict[str, Any]:
        found = documents(client, alias)
        return found if found.keys() == {"1", "20", "4"} and found["4"]["phone"] is None else {}

    shown = until(settled, "the documents", 90)
    digest = hmac.new(secret.encode(), f"new{canary}@x.org".encode(), "sha256").hexdigest()
    assert {name: value for name, value in shown["1"].items() if name != "_cdc"} == {
        "id": 1, "name": "Ada", "email": digest, "phone": "***", "kind": "***",
        "photo": hmac.new(secret.encode(), base64.b64encode(canary.encode()), "sha256").hexdigest(),
        "sort": hmac.new(secret.encode(), json.dumps([f"{canary}sort"]).encode(), "sha256").hexdigest(),
    }  # fmt: skip
    assert (shown["4"]["email"], shown["4"]["kind"]) == (None, "***")
    ((mapping,),) = ((found["mappings"]["properties"] for found in client.indices.get(index=alias).values()),)
    assert {mapping[name]["type"] for name in ("email", "phone", "kind", "photo", "sort")} == {"keyword"}
    assert mapping.keys().isdisjoint(("ssn", "note"))
    audited = tidemark("audit", "run", "-c", pipeline.config, "--json")
    assert (audited.code, json.loads(audited.out)["status"]) == (0, "clean"), audited.err

    said = [audited.out, audited.err, tidemark("config", "show", "-c", pipeline.config).out]
    tails = []
    for engine in ("portable", "native")[: 1 if MISSING else 2]:
        one = make_pipeline(f"tail_{engine}", cdc=protecting(database, key, engine=engine))
        options = ("tail", f"{database}.people", "-c", one.config, "--position", f"gtid:{start}", "--limit", "9")
        done = tidemark("cdc", *options, "--json")
        said += [done.out, done.err, tidemark("cdc", *options).out]
        tails.append([json.loads(line) for line in done.out.splitlines()])
    events = [[(one["event"]["before"], one["event"]["after"]) for one in lines] for lines in tails]
    assert events[0] == events[-1]
    assert len(events[0]) == 9

    if not MISSING:
        cursor.execute("SET SESSION binlog_row_value_options = 'PARTIAL_JSON'")
        cursor.execute("UPDATE people SET note = JSON_SET(note, '$.a', %s) WHERE id = 1", (f"{canary}2",))
        cursor.execute("SET SESSION binlog_row_value_options = ''")
    keyword = {"type": "keyword", "ignore_above": 100_000}
    client.indices.put_mapping(index=alias, properties={"name": {"type": "text", "fields": {"keyword": keyword}}})
    cursor.execute("UPDATE people SET name = %s WHERE id = 20", ("long" * 10_000,))
    brokers, letters = pipeline.servers.kafka.bootstrap_servers, f"{pipeline.name}.__deadletter"
    (letter,) = until(lambda: read_topics(brokers, [letters]), "the dead letter", 60)
    assert letter.value["key_text"] == "20"

    cursor.execute(f"ALTER TABLE people CHANGE ssn number VARCHAR(50) DEFAULT '{canary}' COMMENT '{canary}'")
    cursor.execute("UPDATE people SET name = 'after' WHERE id = 1")
    assert pipeline.wait("cdc", 60) == 6
    assert "column ssn of" in pipeline.log("cdc")
    assert pipeline.stop("sink") == 0
    tail = tidemark("cdc", "tail", f"{database}.people", "-c", pipeline.config, "--position", f"gtid:{start}")
    assert tail.code == 4, tail.err  # the table has no such column any more
    said += [tail.out, tail.err, pipeline.log("cdc"), pipeline.log("sink")]

    kafka = list(everything_in_kafka(brokers, pipeline.name))
    assert len(kafka) > 15
    index = client.search(index=alias, size=100, version=True)
    meta = client.indices.get(index=alias)
    for place in (*(text.encode() for text in said), *kafka, repr(index).encode(), repr(meta).encode()):
        assert secret.encode() not in place
        for trace in traces(canary):
            assert trace not in place, place[:2000]
    connection.close()


def test_a_policy_that_comes_later_stops_the_sink_where_the_index_cannot_follow(
    make_pipeline: Callable[..., Pipeline], mysql: Mysql, elastic: Elastic, database: str, key: Path
) -> None:
    connection = mysql.connect(database=database)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE people (id INT PRIMARY KEY, phone BIGINT, city CHAR(20))")
    pipeline = make_pipeline("later", cdc={"tables": [f"{database}.*"], "heartbeat_s": 1})
    pipeline.start("cdc", "sink")
    cursor.execute("INSERT INTO people VALUES (1, 42, 'Ulm')")
    pipeline.await_equal(database, ("people",))
    assert [pipeline.stop("cdc"), pipeline.stop("sink")] == [0, 0]

    policies = {f"{database}.people": {"hash": ["city"]}}
    later = make_pipeline("later", cdc={**protecting(database, key), "table": policies})
    later.start("cdc", "sink")
    cursor.execute("INSERT INTO people VALUES (2, 43, 'Bonn')")
    client, alias = elastic.client(), later.alias(database, "people")
    shown = until(lambda: documents(client, alias).get("2"), "the hashed document", 60)
    assert len(shown["city"]) == 64
    assert documents(client, alias)["1"]["city"] == "Ulm"
    assert "protection_changed" in later.log("cdc")
    assert [later.stop("cdc"), later.stop("sink")] == [0, 0]

    masking = {f"{database}.people": {"hash": ["city"], "mask": ["phone"]}}
    last = make_pipeline("later", cdc={**protecting(database, key), "table": masking})
    last.start("cdc", "sink")
    cursor.execute("INSERT INTO people VALUES (3, 44, 'Kiel')")
    until(lambda: "phone: has long, needs keyword" in last.log("sink"), "the conflict in the sink's log", 60)
    assert "3" not in documents(client, alias)
    assert last.stop("cdc") == 0
    connection.close()
