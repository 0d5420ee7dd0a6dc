"""What only the native engine reads: compressed transactions, partial JSON updates, tagged GTIDs; and what is large."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.position import GtidSet
from source_reader import Seen, SourceReader

pytestmark = pytest.mark.stack


@pytest.fixture
def engine(native: str) -> str:
    return native


def _documents(reader: SourceReader) -> dict[int, Any]:
    rows = reader.sql("SELECT id, CAST(doc AS CHAR) FROM t")
    return {number: None if text is None else json.loads(text) for number, text in rows}


def _latest(seen: Seen) -> dict[int, Any]:
    """What the events leave behind."""
    found: dict[int, Any] = {}
    for event in seen.events:
        if event["after"] is None:
            found.pop(event["before"]["id"], None)
        else:
            found[event["after"]["id"]] = event["after"]["doc"]
    return found


@pytest.fixture
def documents(reader: SourceReader) -> SourceReader:
    """A table of documents, whose changes are logged as differences from here on."""
    padding = "x" * 200  # a difference is only logged where it is shorter than the document
    first = json.dumps({"a": 1, "bb": [1, 2, {"c": "old"}], "pad": padding, 'odd "key".x': {"ü": None}})
    with reader.connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20), doc JSON, other JSON, n INT)")
        for number in range(1, 4):
            cursor.execute("INSERT INTO t VALUES (%s, 'n', %s, %s, 0)", (number, first, json.dumps([padding, 1])))
        cursor.execute("INSERT INTO t VALUES (4, NULL, NULL, NULL, NULL)")
    reader.sql("SET SESSION binlog_row_value_options = 'PARTIAL_JSON'")
    return reader


UPDATES = {
    "replace": "JSON_SET(doc, '$.a', 2)",
    "replace deep": "JSON_REPLACE(doc, '$.bb[2].c', 'new')",
    "two at once": "JSON_SET(doc, '$.a', 'text', '$.bb[0]', CAST('{\"x\": [1.0]}' AS JSON))",
    "insert members": "JSON_SET(doc, '$.z', 1, '$.aa', 2, '$.pae', 3)",
    "insert into an array": "JSON_ARRAY_INSERT(JSON_SET(doc, '$.bb[7]', 7), '$.bb[1]', 'between')",
    "append": "JSON_SET(doc, '$.bb[99]', 'last')",
    "remove": "JSON_REMOVE(doc, '$.bb[1]', '$.a')",
    "remove and set": "JSON_SET(JSON_REMOVE(doc, '$.a'), '$.bb[0]', 5, '$.new', NULL)",
    "a quoted key": 'JSON_SET(doc, \'$."odd \\\\"key\\\\".x"."ü"\', CAST(1.50 AS DECIMAL(5,2)))',
    "nothing": "JSON_SET(doc, '$.a', 1)",
    "whole": "'[]'",
    "to null": "NULL",
}


@pytest.mark.parametrize("update", UPDATES)
def test_partial_json_updates_show_the_whole_new_value(documents: SourceReader, update: str) -> None:
    documents.sql(
        f"UPDATE t SET doc = {UPDATES[update]}, n = id WHERE id < 3",
        "UPDATE t SET other = JSON_SET(other, '$[1]', 'both'), doc = JSON_SET(doc, '$.pad2', 'x') WHERE id = 3",
        "UPDATE t SET n = 1, name = 'x' WHERE id = 4",
    )
    seen = documents.read()
    assert _latest(seen) == _documents(documents)
    third = next(event["after"] for event in seen.events if event["op"] == "u" and event["after"]["id"] == 3)
    assert third["other"][1] == "both"
    assert third["name"] == "n"


def _logged(reader: SourceReader) -> set[str]:
    """The types of the events since the start; others write to the server, so not all of them."""
    start = reader.start
    found = reader.sql(f"SHOW BINLOG EVENTS IN '{start.file}' FROM {start.pos} LIMIT 200")
    return {kind for _, _, kind, *_ in found}


def test_partial_updates_were_really_logged(documents: SourceReader) -> None:
    documents.start = documents.here()
    documents.sql("UPDATE t SET doc = JSON_SET(doc, '$.a', 2) WHERE id = 1")
    assert "Update_rows_partial" in _logged(documents)


@pytest.mark.parametrize("rows", [1, 3000])
def test_compressed_transactions(reader: SourceReader, rows: int) -> None:
    reader.sql("CREATE TABLE t (id INT PRIMARY KEY, doc VARCHAR(200))", "SET SESSION cte_max_recursion_depth = 100000")
    reader.sql("SET SESSION binlog_transaction_compression = ON")
    reader.start = reader.here()
    reader.sql(
        f"INSERT INTO t WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < {rows}) "
        "SELECT n, REPEAT('x', 200) FROM r",
        "UPDATE t SET doc = 'changed' WHERE id % 2",
        "SET SESSION binlog_transaction_compression = OFF",
        "INSERT INTO t VALUES (0, 'plain')",
    )
    assert "Transaction_payload" in _logged(reader)
    seen = reader.read(max_batch_events=1000)
    assert _latest(seen) == dict(reader.sql("SELECT id, doc FROM t"))
    orders = [event["transaction"]["total_order"] for event in seen.events]
    assert orders[:rows] == list(range(1, rows + 1))
    places = {(source["file"], source["pos"], source["row"]) for source in (event["source"] for event in seen.events)}
    assert len(places) == len(seen.events)
    assert seen.position.open is None
    if rows > 1000:  # resume in the middle of the payload
        number = next(number for number, batch in enumerate(seen.batches) if batch.position.open)
        middle = seen.batches[number].position
        rest = [record for batch in seen.batches[number + 1 :] for record in batch.records]
        again = reader.read(middle, max_batch_events=700, clock=None)
        assert [record.key for record in again.records] == [record.key for record in rest]
        assert [event["source"]["seq"] for event in again.events] == [
            json.loads(record.value)["source"]["seq"] for record in rest if record.value
        ]


def test_tagged_gtids(reader: SourceReader) -> None:
    reader.sql("CREATE TABLE t (id INT PRIMARY KEY, doc INT)", "INSERT INTO t VALUES (1, 1)")
    reader.start = reader.here()
    reader.sql("SET SESSION gtid_next = 'AUTOMATIC:tide'", "UPDATE t SET doc = 2", "INSERT INTO t VALUES (2, 2)")
    reader.sql("SET SESSION gtid_next = 'AUTOMATIC'", "INSERT INTO t VALUES (3, 3)")
    try:
        seen = reader.read()
        assert [event["after"]["id"] for event in seen.events] == [1, 2, 3]
        gtid = seen.events[0]["source"]["gtid"]
        assert ":tide:" in gtid
        assert GtidSet(seen.position.gtid_set) == GtidSet(reader.here().gtid_set)
        assert gtid in GtidSet(seen.position.gtid_set)
        middle = seen.batches[0].position if seen.batches[0].rows < 3 else seen.position
        reader.sql("INSERT INTO t VALUES (4, 4)")
        assert [event["after"]["id"] for event in reader.read(middle).events][-1] == 4
    finally:
        reader.sql("SET SESSION gtid_next = 'AUTOMATIC'")


def test_a_packet_over_16_mb(reader: SourceReader) -> None:
    size = (17 << 20) + 12_345
    reader.sql("CREATE TABLE t (id INT PRIMARY KEY, doc LONGBLOB, n INT)")
    reader.sql(f"INSERT INTO t VALUES (1, REPEAT(x'00ff', {size // 2}), 5), (2, 'x', 6)")
    for limit in (64 << 20, 1 << 20):
        seen = reader.read(max_event_bytes=limit)
        (large, small) = seen.events
        assert small["after"] == {"id": 2, "doc": "eA==", "n": 6}
        if limit > size:
            assert len(large["after"]["doc"]) == -(-(size // 2 * 2) // 3) * 4
            assert large["after"]["doc"].startswith("AP8A/w")
        else:
            assert large["source"]["omitted"] == ["doc"]
            assert large["after"] == {"id": 1, "n": 5}


def test_a_packet_of_exactly_16_mb(reader: SourceReader) -> None:
    """A piece of 2^24-1 bytes says that another one follows, be it an empty one."""
    reader.sql("CREATE TABLE t (id INT PRIMARY KEY, doc LONGBLOB)")
    for around in range(-3, 4):
        # event: header 19, rows head 10, count 1, bitmap 1, nulls 1, id 4, length 4, checksum 4; and the OK byte
        reader.sql(f"REPLACE INTO t VALUES ({around + 10}, REPEAT('x', {(1 << 24) - 1 - 45 + around}))")
    reader.sql("INSERT INTO t VALUES (100, 'end')")
    seen = reader.read(max_event_bytes=64 << 20)
    assert [event["after"]["id"] for event in seen.events] == [7, 8, 9, 10, 11, 12, 13, 100]
