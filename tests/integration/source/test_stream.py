"""The stream as a whole: order, keys, resuming anywhere, idling, losing the connection."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace

import orjson
import pytest

from cdc.source.seam import Record
from schemas.errors import PositionLostError, UnreachableError
from schemas.event import NEW_KEY_HEADER, OLD_KEY_HEADER
from schemas.key import partition_of
from schemas.position import SEQ_STEP, GtidSet, OpenTransaction
from source_reader import FIRST_SEQ, Seen, SourceReader, closing_in_time, seqs, take, tombstone_seq

pytestmark = pytest.mark.stack


def _table(reader: SourceReader, *statements: str) -> None:
    reader.sql("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20))", *statements)
    reader.start = reader.here()


def _ops(seen: Seen) -> list[str]:
    return ["tombstone" if record.value is None else orjson.loads(record.value)["op"] for record in seen.records]


def _stable(record: Record) -> tuple[object, ...]:
    """A record without the time of capture."""
    value = record.value and {k: v for k, v in orjson.loads(record.value).items() if k not in ("ts_ms", "ts_us")}
    return (record.topic, record.partition, record.key, repr(value), record.headers)


def test_a_dump_of_another_server_than_the_one_inspected(reader: SourceReader) -> None:
    _table(reader, "INSERT INTO t VALUES (1, 'x')")
    with pytest.raises(UnreachableError, match="the dump would come from server"):
        reader.read(replace(reader.start, server_uuid="11111111-2222-3333-4444-555555555555"))
    assert reader.read(replace(reader.start, server_uuid="")).batches


def test_insert_update_delete(reader: SourceReader) -> None:
    _table(reader)
    reader.sql("INSERT INTO t VALUES (1, 'x')", "UPDATE t SET a = NULL", "DELETE FROM t")
    seen = reader.read()
    assert _ops(seen) == ["c", "u", "d", "tombstone"]
    assert [(event["before"], event["after"]) for event in seen.events] == [
        (None, {"id": 1, "a": "x"}),
        ({"id": 1, "a": "x"}, {"id": 1, "a": None}),
        ({"id": 1, "a": None}, None),
    ]
    assert list(seqs(seen.records)) == [FIRST_SEQ + SEQ_STEP, FIRST_SEQ + 2 * SEQ_STEP, FIRST_SEQ + 3 * SEQ_STEP]
    assert tombstone_seq(seen.records[-1]) == FIRST_SEQ + 3 * SEQ_STEP
    assert {record.partition for record in seen.records} == {partition_of(b'{"id":1}', 3)}


def test_the_envelope(reader: SourceReader) -> None:
    _table(reader)
    ((thread, before_us),) = reader.sql("SELECT CONNECTION_ID(), CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS UNSIGNED)")
    reader.sql("INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    first, second = reader.read().events
    assert list(first) == ["before", "after", "source", "transaction", "op", "ts_ms", "ts_us"]
    assert list(first["source"]) == [
        "version", "connector", "name", "ts_ms", "ts_us", "snapshot", "db", "table", "table_version", "server_id",
        "gtid", "file", "pos", "row", "thread", "seq",
    ]  # fmt: skip
    source = first["source"]
    assert (source["db"], source["table"], source["thread"], source["snapshot"]) == (reader.db, "t", thread, "false")
    assert before_us <= source["ts_us"] <= first["ts_us"]
    assert source["ts_ms"] == source["ts_us"] // 1000
    assert GtidSet(reader.here().gtid_set).covers(GtidSet(source["gtid"]))
    assert first["transaction"] == {"id": source["gtid"], "total_order": 1, "data_collection_order": 1}
    assert (second["source"]["row"], second["transaction"]["total_order"]) == (1, 2)
    shown = reader.sql(f"SHOW BINLOG EVENTS IN '{source['file']}' FROM {source['pos']} LIMIT 1")
    assert shown[0][2] == "Write_rows"


def test_a_key_change_is_a_delete_and_a_create(reader: SourceReader) -> None:
    _table(reader, "INSERT INTO t VALUES (1, 'x')")
    reader.sql("UPDATE t SET id = 2")
    seen = reader.read()
    deleted, tombstone, created = seen.records
    assert _ops(seen) == ["d", "tombstone", "c"]
    assert deleted.headers == ((NEW_KEY_HEADER, b'{"id":2}'),)
    assert created.headers == ((OLD_KEY_HEADER, b'{"id":1}'),)
    assert (deleted.key, tombstone.key, created.key) == (b'{"id":1}', b'{"id":1}', b'{"id":2}')
    low, high = seqs(seen.records)
    assert (low, high - low) == (tombstone_seq(tombstone), SEQ_STEP)
    assert [event["transaction"]["total_order"] for event in seen.events] == [1, 2]


def test_keys_are_compared_bytewise(reader: SourceReader) -> None:
    reader.sql("CREATE TABLE k (id VARCHAR(9) PRIMARY KEY)", "INSERT INTO k VALUES ('a')", "UPDATE k SET id = 'A'")
    reader.sql("UPDATE k SET id = 'A '")
    assert _ops(reader.read()) == ["c", "d", "tombstone", "c", "d", "tombstone", "c"]


def test_a_row_deleted_and_inserted_again_in_one_transaction(reader: SourceReader) -> None:
    _table(reader, "INSERT INTO t VALUES (1, 'x')")
    reader.sql("BEGIN", "DELETE FROM t", "INSERT INTO t VALUES (1, 'y')", "COMMIT", "UPDATE t SET a = 'y'")
    seen = reader.read()
    assert _ops(seen) == ["d", "tombstone", "c"]  # the update changed nothing, so MySQL logged nothing
    assert seen.events[0]["transaction"]["id"] == seen.events[1]["transaction"]["id"]


def test_chained_key_changes_in_one_statement(reader: SourceReader) -> None:
    _table(reader, "INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z')")
    reader.sql("UPDATE t SET id = id + 1 ORDER BY id DESC")
    last = {}
    for record in reader.read().records:
        last[record.key] = record.value and orjson.loads(record.value)["after"]
    assert last == {
        b'{"id":1}': None,
        b'{"id":2}': {"id": 2, "a": "x"},
        b'{"id":3}': {"id": 3, "a": "y"},
        b'{"id":4}': {"id": 4, "a": "z"},
    }


def _storm(reader: SourceReader, seed: int) -> None:
    """Two tables captured and one not, in transactions of several events each."""
    pick = random.Random(seed)
    reader.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20))",
        "CREATE TABLE u (id INT PRIMARY KEY, a VARCHAR(20))",
        "CREATE TABLE skipped (id INT PRIMARY KEY, a VARCHAR(20))",
        *(f"INSERT INTO {table} SELECT n, 'x' FROM ({_numbers(20)}) s" for table in ("t", "u", "skipped")),
    )
    reader.router.only = frozenset({"t", "u"})
    reader.start = reader.here()
    for _ in range(4):
        reader.sql("BEGIN")
        for _ in range(5):
            table, low = pick.choice(["t", "u", "skipped"]), pick.randrange(20)
            reader.sql(
                pick.choice(
                    [
                        f"UPDATE {table} SET a = CONCAT(a, 'y') WHERE id BETWEEN {low} AND {low + 5}",
                        f"UPDATE {table} SET id = id + 1000 WHERE id BETWEEN {low} AND {low + 3} ORDER BY id DESC",
                        f"DELETE FROM {table} WHERE id BETWEEN {low} AND {low + 2}",
                        f"REPLACE INTO {table} VALUES ({low}, 'new'), ({low + 1}, 'new')",
                    ]
                )
            )
        reader.sql("COMMIT")


def _numbers(count: int) -> str:
    return " UNION ALL ".join(f"SELECT {number} AS n" for number in range(count))


@pytest.mark.parametrize("by_file", [False, True], ids=["gtid", "file"])
def test_resuming_anywhere_gives_what_an_uninterrupted_run_gives(reader: SourceReader, by_file: bool) -> None:
    _storm(reader, seed=7)
    whole = [_stable(record) for record in reader.read(by_file=by_file, clock=lambda: 0.0).records]
    assert len(whole) > 40
    pieces: list[Record] = []
    position = replace(reader.start, gtid_set="") if by_file else reader.start
    end = reader.here()
    opened = 0
    known: dict[str, object] = {}
    while (position.file, position.pos) < (end.file, end.pos):
        source = reader.source(max_batch_events=3, known=known, linger_s=0.0)
        with closing_in_time(source):
            batch = next(found for found in source.batches(position) if found.records or found.position != position)
        pieces.extend(batch.records)
        known.update({table.full_name: table for table in batch.tables})
        position = batch.position
        opened += position.open is not None
    assert opened > 5
    assert [_stable(record) for record in pieces] == whole


def test_resuming_in_a_transaction_that_is_not_there(reader: SourceReader) -> None:
    _table(reader)
    reader.sql("INSERT INTO t VALUES (1, 'x')")
    other = OpenTransaction(gtid="00000000-0000-0000-0000-000000000000:1", event=0, row=1)
    with pytest.raises(PositionLostError, match="does not come next"):
        reader.read(replace(reader.start, open=other))
    gtid = reader.read().events[0]["source"]["gtid"]
    with pytest.raises(PositionLostError, match="rows events"):
        reader.read(replace(reader.start, open=OpenTransaction(gtid=gtid, event=3, row=0)))


def test_a_large_transaction_comes_in_small_batches(reader: SourceReader) -> None:
    _table(reader)
    reader.sql(
        "SET SESSION cte_max_recursion_depth = 30000",
        "INSERT INTO t WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 20000)"
        " SELECT n, REPEAT('x', 20) FROM r",
    )
    seen = reader.read(max_batch_events=1000)
    assert [batch.rows for batch in seen.batches if batch.rows] == [1000] * 20
    assert len({orjson.loads(record.key)["id"] for record in seen.records}) == 20000
    assert [event["transaction"]["total_order"] for event in seen.events] == list(range(1, 20001))
    assert next(batch for batch in seen.batches if batch.rows).position.open is not None
    assert seen.position.open is None
    small = reader.read(max_batch_bytes=50_000)
    assert max(batch.size_bytes for batch in small.batches) < 51_000


def test_an_event_that_is_too_large_loses_its_largest_columns_only(reader: SourceReader) -> None:
    reader.sql("CREATE TABLE b (id INT PRIMARY KEY, s TEXT, big LONGBLOB, mid LONGTEXT)")
    reader.sql("INSERT INTO b VALUES (1, 's', REPEAT(x'01', 300000), REPEAT('m', 90000))", "UPDATE b SET s = 't'")
    seen = reader.read(max_event_bytes=250_000)
    created, updated = seen.events
    assert created["after"] == {"id": 1, "s": "s", "mid": "m" * 90000}
    assert created["source"]["omitted"] == ["big"]
    assert updated["before"].keys() == updated["after"].keys() == {"id", "s", "mid"}
    assert all(len(record.value or b"") <= 250_000 for record in seen.records)
    losses = [loss for batch in seen.batches for loss in batch.losses]
    assert {(loss.kind, loss.table, loss.columns) for loss in losses} == {("omitted", f"{reader.db}.b", ("big",))}
    assert sum(loss.count for loss in losses) == 2
    tiny = reader.read(max_event_bytes=2_000).events
    assert tiny[0]["after"] == {"id": 1, "s": "s"}
    assert tiny[0]["source"]["omitted"] == ["big", "mid"]


def test_a_packet_over_16_mb(reader: SourceReader) -> None:
    reader.sql("CREATE TABLE b (id INT PRIMARY KEY, big LONGBLOB)", "INSERT INTO b VALUES (1, REPEAT(x'61', 17500000))")
    (row,) = reader.read(max_event_bytes=64 << 20).rows
    assert len(row["big"]) == (17_500_000 + 2) // 3 * 4


def test_fifty_new_files(reader: SourceReader) -> None:
    _table(reader)
    for number in range(50):
        reader.sql(f"INSERT INTO t VALUES ({number}, 'x')", "FLUSH BINARY LOGS")
    for by_file in (False, True):
        assert [row["id"] for row in reader.read(by_file=by_file).rows] == list(range(50))


def test_gaps_in_the_gtid_set_are_kept(reader: SourceReader) -> None:
    _table(reader)
    reader.sql("INSERT INTO t VALUES (1, 'x')", "INSERT INTO t VALUES (2, 'x')", "INSERT INTO t VALUES (3, 'x')")
    events = reader.read().events
    done = GtidSet(reader.start.gtid_set)
    done.add(events[1]["source"]["gtid"])
    seen = reader.read(replace(reader.start, gtid_set=str(done)))
    assert [row["id"] for row in seen.rows] == [1, 3]


def test_what_is_filtered_moves_the_position(reader: SourceReader) -> None:
    _table(reader)
    reader.router.only = frozenset({"nothing"})
    reader.sql("INSERT INTO t VALUES (1, 'x')")
    seen = reader.read()
    assert seen.records == []
    assert GtidSet(seen.position.gtid_set).covers(GtidSet(reader.here().gtid_set))
    assert (seen.position.file, seen.position.seq) == (reader.here().file, FIRST_SEQ)


def test_a_change_comes_within_a_moment(reader: SourceReader) -> None:
    _table(reader)
    source = reader.source(heartbeat_s=60.0, read_timeout_s=200.0)
    with closing_in_time(source):
        batches = source.batches(reader.start)
        reader.sql("INSERT INTO t VALUES (1, 'x')")
        take(batches, lambda seen: bool(seen.records))
        asked = time.monotonic()
        timer = threading.Timer(0.2, lambda: reader.sql("INSERT INTO t VALUES (2, 'x')"))
        timer.start()
        assert take(batches, lambda seen: bool(seen.records)).rows == [{"id": 2, "a": "x"}]
        assert time.monotonic() - asked < 30  # not at the next heartbeat
        timer.join()


def test_closing_ends_a_silent_stream_at_once(reader: SourceReader) -> None:
    source = reader.source(heartbeat_s=20.0, read_timeout_s=60.0)
    batches = source.batches(reader.here())
    asked: list[float] = []

    def close() -> None:
        asked.append(time.monotonic())
        source.close()

    closing = threading.Timer(0.5, close)
    closing.start()
    assert [batch for batch in batches if batch.records] == []
    assert time.monotonic() - asked[0] < 15  # not at the next heartbeat
    source.close()
    closing.join()
    assert not [thread for thread in threading.enumerate() if thread.name == "binlog-dump"]


def test_a_killed_dump_is_an_error_that_can_be_tried_again(reader: SourceReader) -> None:
    _table(reader)
    user = f"u{reader.server_id}"  # others dump from this server too
    reader.sql(f"CREATE USER {user} IDENTIFIED BY 'u'", f"GRANT REPLICATION SLAVE ON *.* TO {user}")
    source = reader.source(
        connect={"host": reader.mysql.host, "port": reader.mysql.port, "user": user, "password": "u"}
    )
    with closing_in_time(source):
        batches = source.batches(reader.start)
        reader.sql("INSERT INTO t VALUES (1, 'x')")
        seen = take(batches, lambda seen: bool(seen.records))
        ((dump,),) = reader.sql(f"SELECT id FROM information_schema.processlist WHERE user = '{user}'")
        reader.sql(f"KILL {dump}", f"DROP USER {user}")
        with pytest.raises(UnreachableError) as caught:
            take(batches, lambda _: False)
        assert caught.value.retryable
    reader.sql("INSERT INTO t VALUES (2, 'x')")
    again = reader.read(seen.position)
    assert [row["id"] for row in again.rows] == [2]


def test_nobody_there(engine: str) -> None:
    class _Nobody:
        host, port, user, password = "127.0.0.1", 1, "u", "p"

    source = SourceReader.source(_unconnected(_Nobody(), engine))
    with closing_in_time(source), pytest.raises(UnreachableError):
        next(iter(source.batches(_unconnected(_Nobody(), engine).start)))


def _unconnected(mysql: object, engine: str) -> SourceReader:
    reader = object.__new__(SourceReader)
    reader.mysql, reader.server_id, reader.known, reader.engine = mysql, 1, {}, engine
    reader.router = None  # type: ignore[assignment]  # never asked
    from schemas.position import Position  # noqa: PLC0415 - only here

    reader.start = Position(gtid_set="", file="bin.000001", pos=4, server_uuid="", seq=0)
    return reader
