"""What needs a server of its own: global settings, other GTID modes, purged and damaged binlogs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pymysql
import pytest

from schemas.errors import (
    PositionLostError,
    PositionPurgedError,
    PreflightError,
    RefusedError,
    RowMetadataError,
    UndecodableError,
    UnreachableError,
    UnsupportedEventError,
)
from source_reader import SourceReader, take
from stack.mysql import MysqlServer

pytestmark = pytest.mark.stack
_NUMBERS = itertools.count(1)


class OwnMysql:
    """Looks like the fixture `mysql`."""

    def __init__(self, server: MysqlServer) -> None:
        self.server = server
        self.host = "127.0.0.1"
        self.port = server.port
        self.user = server.root.user
        self.password = server.root.password

    def connect(self, **overrides: Any) -> pymysql.connections.Connection:
        place = {"host": self.host, "port": self.port, "user": self.user, "password": self.password}
        return pymysql.connect(**{**place, "autocommit": True, "charset": "utf8mb4", **overrides})


@pytest.fixture(scope="module")
def own(servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnMysql]:
    """A mysqld of this module's own; it comes from where the shared one comes from."""
    folder: Path = tmp_path_factory.mktemp("own") / "mysql"
    server = MysqlServer(folder, args=("--max-binlog-size=1M",))
    server.start()
    yield OwnMysql(server)
    server.stop()


@pytest.fixture
def reader(own: OwnMysql, engine: str) -> Iterator[SourceReader]:
    number = next(_NUMBERS)
    with own.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE own{number}")
    found = SourceReader(own, f"own{number}", 9000 + number, engine)
    yield found
    found.connection.close()


def _fill(reader: SourceReader) -> None:
    reader.sql("CREATE TABLE t (id INT PRIMARY KEY, a INT)", "INSERT INTO t VALUES (1, 1)")


def test_a_tagged_gtid_stops_and_a_position_with_tags_goes_on(reader: SourceReader) -> None:
    _fill(reader)
    reader.start = reader.here()
    reader.sql("SET SESSION gtid_next = 'AUTOMATIC:tide'", "UPDATE t SET a = 2", "SET SESSION gtid_next = 'AUTOMATIC'")
    if reader.engine == "native":
        assert [row["a"] for row in reader.read().rows] == [2]
        return
    with pytest.raises(UnsupportedEventError, match="GTID_TAGGED"):
        reader.read()
    reader.start = reader.here()
    assert ":tide:" in reader.start.gtid_set
    reader.sql("UPDATE t SET a = 3")
    assert [row["a"] for row in reader.read().rows] == [3]


def test_minimal_row_metadata(reader: SourceReader) -> None:
    reader.sql("SET GLOBAL binlog_row_metadata = 'MINIMAL'")
    try:
        _fill(reader)
        with pytest.raises(RowMetadataError) as caught:
            reader.read()
        assert "SET PERSIST binlog_row_metadata = 'FULL'" in caught.value.hint
        reader.router.only = frozenset({"another"})
        assert reader.read().records == []
    finally:
        reader.sql("SET GLOBAL binlog_row_metadata = 'FULL'")


def test_a_purged_binlog(reader: SourceReader) -> None:
    _fill(reader)
    since = reader.start
    reader.sql("FLUSH BINARY LOGS", "INSERT INTO t VALUES (2, 2)")
    while reader.sql("SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"):
        reader.sql("INSERT INTO t VALUES (3, 3)", "DELETE FROM t WHERE id = 3")  # a dump ends when it has to send
    reader.sql(f"PURGE BINARY LOGS TO '{reader.here().file}'")
    for by_file in (False, True):
        with pytest.raises(PositionPurgedError) as caught:
            reader.read(since, by_file=by_file)
        assert caught.value.hint


def test_a_position_that_the_server_never_had(reader: SourceReader) -> None:
    here = reader.here()
    uuid = here.gtid_set.partition(":")[0]
    with pytest.raises(PositionLostError):
        reader.read(replace(here, gtid_set=f"{uuid}:1-99999999"))
    with pytest.raises(PositionLostError):
        reader.read(replace(here, pos=here.pos + 1_000_000), by_file=True)


def test_a_wrong_password_and_a_missing_grant(own: OwnMysql, reader: SourceReader) -> None:
    reader.sql("CREATE USER IF NOT EXISTS nobody IDENTIFIED BY 'n'")
    place = {"host": own.host, "port": own.port, "user": "nobody"}
    with pytest.raises(RefusedError):
        reader.read(connect={**place, "password": "wrong"})
    with pytest.raises(PreflightError) as caught:
        reader.read(connect={**place, "password": "n"})
    assert "GRANT REPLICATION SLAVE ON *.*" in caught.value.hint


def _table_id(reader: SourceReader, table: str) -> int:
    """The number by which the last rows event called the table."""
    here = reader.here()
    events = reader.sql(f"SHOW BINLOG EVENTS IN '{here.file}'")
    said = [info for _, _, kind, _, _, info in events if kind == "Table_map" and f"{reader.db}.{table})" in info]
    return int(said[-1].split()[1])


def test_a_restart_of_the_server_and_small_files(own: OwnMysql, reader: SourceReader) -> None:
    _fill(reader)
    source = reader.source()
    batches = source.batches(reader.start)
    rows = 0
    while rows < 1:
        rows += next(batches).rows
    for _ in range(100):
        reader.sql("FLUSH TABLES t", "UPDATE t SET a = a + 1")
    used = _table_id(reader, "t")
    own.server.kill()
    with pytest.raises(UnreachableError):
        for _ in batches:
            pass
    own.server.start()
    reader.connection = own.connect(database=reader.db)
    reader.sql("CREATE TABLE other (k VARCHAR(9) PRIMARY KEY, a BLOB, b INT)", "INSERT INTO other VALUES ('x', '', 0)")
    while _table_id(reader, "other") < used:  # a number that stood for `t` stands for another table now
        reader.sql("FLUSH TABLES other", "UPDATE other SET a = 'yy', b = b + 1")
    assert _table_id(reader, "other") == used
    ((count,),) = reader.sql("SELECT b FROM other")
    reader.sql("INSERT INTO t SELECT n, 5 FROM JSON_TABLE('[2,3,4]', '$[*]' COLUMNS (n INT PATH '$')) j")
    for by_file in (False, True):
        rows = reader.read(by_file=by_file).rows
        assert [row["id"] for row in rows if "id" in row] == [1] * 101 + [2, 3, 4]
        assert [row["b"] for row in rows if "k" in row] == list(range(count + 1))
        assert rows[-4] == {"k": "x", "a": "eXk=", "b": count}


def test_an_event_larger_than_the_packets_of_the_server(reader: SourceReader) -> None:
    reader.sql("CREATE TABLE t (id INT PRIMARY KEY, doc LONGBLOB)", "INSERT INTO t VALUES (1, REPEAT('x', 3000000))")
    reader.sql("SET GLOBAL max_allowed_packet = 1048576")
    try:
        (row,) = reader.read().rows
    finally:
        reader.sql("SET GLOBAL max_allowed_packet = 1073741824")
    assert len(row["doc"]) == 4_000_000


def test_a_position_that_is_no_boundary(reader: SourceReader) -> None:
    """Whatever MySQL and we take the bytes there for: it stops, and nothing comes of it."""
    reader.sql("CREATE TABLE t (id INT PRIMARY KEY, doc LONGBLOB)")
    reader.start = reader.here()
    reader.sql("INSERT INTO t VALUES (1, REPEAT('x', 5000))")
    hints = []
    for aside in (1, 2, 3, 5, 7, 19, 30, 100, 1000, 4000):
        place = replace(reader.start, pos=reader.start.pos + aside)
        with pytest.raises((PositionLostError, UndecodableError)) as caught:
            reader.read(place, by_file=True)
        assert f":{place.pos}" in caught.value.where or "end position" in caught.value.where
        hints.append(caught.value.hint)
    assert any("no event begins at the position" in hint for hint in hints)


def test_without_gtids(reader: SourceReader) -> None:
    for mode in ("ON_PERMISSIVE", "OFF_PERMISSIVE", "OFF"):
        reader.sql(f"SET GLOBAL gtid_mode = {mode}")
    try:
        reader.sql("SET GLOBAL enforce_gtid_consistency = OFF")
        reader.start = reader.here()
        _fill(reader)
        reader.sql("INSERT INTO t VALUES (2, 2)")
        seen = reader.read(by_file=True)
        first, second = seen.events
        assert first["source"]["gtid"] is None
        assert first["transaction"]["id"].startswith(f"{reader.start.file}:")
        assert first["transaction"]["id"] != second["transaction"]["id"]
    finally:
        reader.sql("SET GLOBAL enforce_gtid_consistency = ON")
        for mode in ("OFF_PERMISSIVE", "ON_PERMISSIVE", "ON"):
            reader.sql(f"SET GLOBAL gtid_mode = {mode}")


@pytest.mark.parametrize("start", ["latest", "earliest"])
def test_gtids_from_the_very_first_one(reader: SourceReader, start: str) -> None:
    """An empty set that is all there was grows from the first transaction on, and can be resumed from."""
    reader.sql("RESET BINARY LOGS AND GTIDS")
    reader.start = reader.here() if start == "latest" else replace(reader.here(), pos=4)
    assert reader.start.gtid_set == ""
    _fill(reader)  # committed before the dump begins
    seen = reader.read(by_file=True)
    assert seen.position.gtid_set == reader.here().gtid_set != ""
    reader.sql("FLUSH BINARY LOGS", "INSERT INTO t VALUES (2, 2)")
    assert [row["id"] for row in reader.read(seen.position).rows] == [2]
    middle = replace(seen.position, gtid_set="")
    assert reader.read(middle, by_file=True).position.gtid_set == ""


def test_a_first_transaction_that_was_published_in_part(reader: SourceReader) -> None:
    reader.sql("CREATE TABLE t (id INT PRIMARY KEY)", "RESET BINARY LOGS AND GTIDS")
    reader.start = reader.here()
    reader.sql("INSERT INTO t VALUES (1), (2), (3)")
    source = reader.source(max_batch_events=2)
    first = take(source.batches(reader.start), lambda seen: bool(seen.records))
    source.close()
    assert (len(first.rows), first.position.gtid_set) == (2, "")
    assert first.position.open is not None
    rest = reader.read(first.position, by_file=True)
    assert [row["id"] for row in rest.rows] == [3]
    assert rest.position.gtid_set == reader.here().gtid_set
