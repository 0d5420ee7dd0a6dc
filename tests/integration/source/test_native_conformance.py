"""native == portable, byte for byte, for every type; random tables and rows three ways: native, portable, SELECT."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from cdc.source import charset, charset_key
from random_tables import Case, cases
from schemas.key import kafka_key
from schemas.position import GtidSet
from servers import Mysql
from source_reader import Seen, SourceReader
from stack.mysql import MysqlServer
from type_cases import CASES, events, insert, shown

pytestmark = pytest.mark.stack

_NUMBERS = itertools.count(60_000_000 + os.getpid() % 30_000 * 1000)


@pytest.fixture
def engine(native: str) -> str:
    return native


def _both(reader: SourceReader, **limits: Any) -> tuple[Seen, Seen]:
    """What both engines make of the same binlog, at the same moment."""
    native = reader.read(engine="native", clock=lambda: 1.5, **limits)
    portable = reader.read(engine="portable", clock=lambda: 1.5, **limits)
    return native, portable


def _same(native: Seen, portable: Seen) -> None:
    for one, other in zip(native.records, portable.records, strict=False):
        assert one == other
    assert len(native.records) == len(portable.records)
    assert native.tables == portable.tables
    assert [loss for batch in native.batches for loss in batch.losses] == [
        loss for batch in portable.batches for loss in batch.losses
    ]
    assert native.position.seq == portable.position.seq  # others write to the server too
    assert native.position.open == portable.position.open
    assert sum(batch.rows for batch in native.batches) == sum(batch.rows for batch in portable.batches)
    assert sum(batch.size_bytes for batch in native.batches) == sum(batch.size_bytes for batch in portable.batches)
    assert native.batches[-1].position.partitions == portable.batches[-1].position.partitions


@pytest.mark.parametrize("case", CASES)
def test_every_type_gives_the_same_bytes(reader: SourceReader, case: str) -> None:
    definition, _, values = CASES[case]
    insert(reader, definition, values)
    reader.sql("UPDATE t SET id = id + 1000 WHERE id % 2", "UPDATE t SET v = NULL WHERE id = 0", "DELETE FROM t")
    _same(*_both(reader))


@pytest.mark.parametrize("name", ["armscii8", "cp932", "eucjpms", "sjis", "ujis"])
def test_rows_whose_keys_are_other_codes_of_one_text(reader: SourceReader, name: str) -> None:
    """Which code stays text is what MySQL writes for the character."""
    decode, strict = charset.decoder(name), charset.decoder(charset_key.in_key(name))
    spelled: dict[str, list[bytes]] = {}
    for raw in charset_key._sequences(name):
        with contextlib.suppress(UnicodeDecodeError):
            spelled.setdefault(decode(raw), []).append(raw)
    several = {text: codes for text, codes in spelled.items() if len(codes) > 1 and len(text) == 1}
    written = ", ".join(f"HEX(CONVERT(_utf8mb4 x'{text.encode().hex()}' USING {name}))" for text in several)
    (row,) = reader.sql(f"SELECT {written}")
    assert {bytes.fromhex(code): text for code, text in zip(row, several, strict=True)} == {
        charset_key._codes(name, decode)[text]: text for text in several
    }
    assert [strict(bytes.fromhex(code)) for code in row] == list(several)
    codes = [code for codes in several.values() for code in codes]
    reader.sql(
        f"CREATE TABLE t (id VARCHAR(9) CHARACTER SET {name} COLLATE {name}_bin PRIMARY KEY, n INT)",
        f"INSERT INTO t VALUES {', '.join(f'(_binary 0x{code.hex()}, {n})' for n, code in enumerate(codes))}",
        f"UPDATE t SET id = _binary 0x{codes[0].hex()}61 WHERE n = 0",
        f"UPDATE t SET id = _binary 0x{codes[1].hex()}61 WHERE n = 0",
    )
    native, portable = _both(reader)
    _same(native, portable)
    created = [record.key for record in native.records[: len(codes)]]
    assert len(set(created)) == len(codes)
    assert [key for key in created if b'"base64:' not in key] == [
        kafka_key({"id": text}) for text, found in several.items() for code in found if code.hex().upper() in row
    ]
    assert [event["op"] for event in native.events[len(codes) :]] == ["d", "c"] * 2
    assert {column.charset for table in native.tables for column in table.columns if column.name == "id"} == {name}


@pytest.mark.parametrize("limit", [700, 1000, 3000])
def test_large_events_lose_the_same_columns(reader: SourceReader, limit: int) -> None:
    reader.sql(
        "CREATE TABLE t (a TEXT, id INT, b BLOB, c VARCHAR(500), k VARCHAR(10), d JSON, PRIMARY KEY (k, id))",
        "INSERT INTO t VALUES (REPEAT('a',100), 1, REPEAT('b',300), REPEAT('c',200), 'x', JSON_ARRAY(REPEAT('d',150))),"
        " (NULL, 2, NULL, 'short', 'y', '{}'), (REPEAT('ä',1000), 3, '', REPEAT('c',500), 'z', 'null')",
        "UPDATE t SET c = REPEAT('e', 480), id = id + 10",
        "UPDATE t SET a = 'x'",
        "DELETE FROM t",
    )
    _same(*_both(reader, max_event_bytes=limit))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_resuming_gives_the_same_bytes_from_everywhere(reader: SourceReader, size: int) -> None:
    reader.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, a INT)",
        "CREATE TABLE other (id INT PRIMARY KEY)",
        "CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW INSERT INTO other VALUES (NEW.id)",
        "BEGIN",
        "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3), (4, 4)",
        "UPDATE t SET id = id + 10 ORDER BY id DESC",
        "DELETE FROM t WHERE id < 13",
        "COMMIT",
        "TRUNCATE other",
        "INSERT INTO t VALUES (5, 5)",
    )
    end = reader.here()
    whole = reader.read(engine="portable", clock=lambda: 1.5)
    pieces, position = [], reader.start
    for _ in range(100):
        batches = reader.read(position, max_batch_events=size, clock=lambda: 1.5).batches
        first = next((batch for batch in batches if batch.records or batch.ddl), batches[-1])
        pieces += first.records
        reader.known |= {table.full_name: table for table in first.tables}
        position = first.position
        if position.open is None and GtidSet(position.gtid_set).covers(GtidSet(end.gtid_set)):
            break
    assert pieces == whole.records
    assert position.seq == whole.position.seq


@pytest.fixture(scope="module")
def quiet(servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mysql]:
    """A server to which nobody else writes: what others log as statements would stop us, and rightly."""
    server = MysqlServer(tmp_path_factory.mktemp("quiet") / "mysql", args=("--sync-binlog=0",))
    server.start()
    yield Mysql(host="127.0.0.1", port=server.port, user=server.root.user, password=server.root.password)
    server.stop()


_RANDOM = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
    database=None,
)


def _three_ways(quiet: Mysql, native: str, case: Case) -> None:
    number = next(_NUMBERS)
    db = f"random_{number}"
    connection = quiet.connect()
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {db}")
    try:
        reader = SourceReader(quiet, db, number, native)
        case.write(reader)
        one, other = _both(reader)
        _same(one, other)
        assert case.after_events(one) == case.after_select(reader)
        reader.connection.close()
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {db}")
        connection.close()


@settings(_RANDOM, max_examples=25, derandomize=True)
@given(case=cases())
def test_random_tables_three_ways(quiet: Mysql, native: str, case: Case) -> None:
    _three_ways(quiet, native, case)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_other_random_tables_each_time(quiet: Mysql, native: str) -> None:
    """`TIDEMARK_TEST_SEED`, which a failure tells, makes the same ones again; `TIDEMARK_TEST_EXAMPLES`: how many."""
    chosen = int(os.environ.get("TIDEMARK_TEST_SEED") or secrets.randbits(32))
    count = int(os.environ.get("TIDEMARK_TEST_EXAMPLES", "500"))
    print(f"TIDEMARK_TEST_SEED={chosen}")

    @seed(chosen)
    @settings(_RANDOM, max_examples=count)
    @given(case=cases())
    def compare(case: Case) -> None:
        _three_ways(quiet, native, case)

    compare()


def test_the_oracle_of_the_types_is_asked_too(reader: SourceReader) -> None:
    """A comparison that compared nothing would be green."""
    definition, oracle, values = CASES["json"]
    insert(reader, definition, values)
    assert events(reader.read(), oracle) == shown(reader, oracle)
