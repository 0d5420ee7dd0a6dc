"""What an engine cannot read faithfully stops it, by name, with a way on. Nothing is passed over."""

from __future__ import annotations

import pytest

from schemas.errors import (
    PartialImageError,
    StatementFormatError,
    TidemarkError,
    UnsafeError,
    UnsupportedEventError,
)
from schemas.position import GtidSet
from source_reader import SourceReader

pytestmark = pytest.mark.stack


def _stop(reader: SourceReader, expected: type[TidemarkError]) -> TidemarkError:
    with pytest.raises(expected) as caught:
        reader.read()
    assert type(caught.value) is expected
    assert caught.value.hint
    assert caught.value.where
    return caught.value


def _table(reader: SourceReader, *settings: str) -> None:
    reader.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, a INT, doc JSON, big TEXT)",
        'INSERT INTO t VALUES (1, 1, \'{"a": "x", "b": "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"}\', \'text\')',
        *settings,
    )
    reader.start = reader.here()


@pytest.mark.parametrize("engine", ["portable"])
def test_a_compressed_transaction(reader: SourceReader) -> None:
    _table(reader, "SET SESSION binlog_transaction_compression = ON")
    reader.sql("UPDATE t SET a = 2")
    stop = _stop(reader, UnsupportedEventError)
    assert "TRANSACTION_PAYLOAD (40)" in str(stop)
    assert "binlog_transaction_compression" in stop.hint
    assert "native" in stop.hint


@pytest.mark.parametrize("engine", ["portable"])
def test_a_partial_json_update(reader: SourceReader) -> None:
    _table(reader, "SET SESSION binlog_row_value_options = 'PARTIAL_JSON'")
    reader.sql("UPDATE t SET doc = JSON_SET(doc, '$.a', 'z')")
    stop = _stop(reader, UnsupportedEventError)
    assert "PARTIAL_UPDATE_ROWS (39)" in str(stop)
    assert "binlog_row_value_options" in stop.hint


def test_a_partial_json_update_of_another_table_is_none_of_ours(reader: SourceReader) -> None:
    _table(reader, "CREATE TABLE kept (id INT PRIMARY KEY)", "SET SESSION binlog_row_value_options = 'PARTIAL_JSON'")
    reader.router.only = frozenset({"kept"})
    reader.sql("UPDATE t SET doc = JSON_SET(doc, '$.a', 'z')", "INSERT INTO kept VALUES (1)")
    assert reader.read().rows == [{"id": 1}]


@pytest.mark.parametrize("image", ["MINIMAL", "NOBLOB"])
def test_a_partial_image(reader: SourceReader, image: str) -> None:
    _table(reader, f"SET SESSION binlog_row_image = '{image}'")
    reader.sql("UPDATE t SET a = 2")
    assert "binlog_row_image" in _stop(reader, PartialImageError).hint


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE t SET a = 2",
        "/* why */ -- who\n INSERT INTO t (id) VALUES (5)",
        "/*!50000 REPLACE */ INTO t (id) VALUES (5)",
        "WITH x AS (SELECT 1 AS one) UPDATE t, x SET t.a = x.one",
        "DELETE FROM t",
        "INSERT INTO t (id, a) VALUES (7, LAST_INSERT_ID())",
        "INSERT INTO t (id, a) VALUES (8, 10 * RAND())",
    ],
)
def test_a_change_in_statement_format(reader: SourceReader, change: str) -> None:
    _table(reader, "SET SESSION binlog_format = 'STATEMENT'")
    before = reader.here()
    reader.sql(change)
    stop = _stop(reader, StatementFormatError)
    place, gtid = stop.where.split(", transaction ")
    assert gtid in GtidSet(reader.here().gtid_set)
    assert gtid not in GtidSet(before.gtid_set)
    assert place.rsplit(":")[0] == before.file
    assert "binlog_format" in stop.hint


def test_a_function_that_writes_in_statement_format(reader: SourceReader) -> None:
    _table(
        reader,
        "CREATE FUNCTION f() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN UPDATE t SET a = 9; RETURN 1; END",
        "SET SESSION binlog_format = 'STATEMENT'",
    )
    reader.sql("SELECT f()")
    _stop(reader, StatementFormatError)


def test_statement_format_in_a_database_that_is_not_captured_is_passed(reader: SourceReader) -> None:
    other = f"{reader.db[:40]}_o"
    _table(reader, f"CREATE DATABASE `{other}`", f"CREATE TABLE `{other}`.h (id INT PRIMARY KEY, ts INT)")
    try:
        reader.sql(
            "SET SESSION binlog_format = 'STATEMENT'",
            f"REPLACE INTO `{other}`.h VALUES (1, 2)",
            f"UPDATE `{other}`.h SET ts = 3 WHERE id = 1",
            f"DELETE FROM `{other}`.h",
            "SET SESSION binlog_format = 'ROW'",
            "INSERT INTO t (id) VALUES (2)",
        )
        assert [row["id"] for row in reader.read().rows] == [2]
    finally:
        reader.sql(f"DROP DATABASE `{other}`")


def test_a_trigger_from_elsewhere_in_statement_format(reader: SourceReader) -> None:
    other = f"{reader.db[:40]}_o"
    _table(
        reader,
        f"CREATE DATABASE `{other}`",
        f"CREATE TABLE `{other}`.h (id INT PRIMARY KEY)",
        f"CREATE TRIGGER `{other}`.tr AFTER INSERT ON `{other}`.h FOR EACH ROW UPDATE `{reader.db}`.t SET a = 7",
    )
    try:
        reader.sql("SET SESSION binlog_format = 'STATEMENT'", f"INSERT INTO `{other}`.h VALUES (1)")
        _stop(reader, StatementFormatError)
    finally:
        reader.sql(f"DROP DATABASE `{other}`")


def test_rows_in_an_xa_transaction(reader: SourceReader) -> None:
    _table(reader)
    reader.sql("XA START 'x1'", "UPDATE t SET a = 2", "XA END 'x1'", "XA PREPARE 'x1'", "XA ROLLBACK 'x1'")
    assert "XA" in str(_stop(reader, UnsupportedEventError))


def test_xa_elsewhere_is_passed(reader: SourceReader) -> None:
    _table(reader, "CREATE TABLE kept (id INT PRIMARY KEY)")
    reader.router.only = frozenset({"kept"})
    reader.sql("XA START 'x2','b',7", "UPDATE t SET a = 2", "XA END 'x2','b',7", "XA PREPARE 'x2','b',7")
    reader.sql("XA COMMIT 'x2','b',7", "INSERT INTO kept VALUES (1)")
    assert reader.read().rows == [{"id": 1}]


def test_an_outcome_of_an_xa_transaction_that_was_prepared_before(reader: SourceReader) -> None:
    _table(reader)
    reader.sql("XA START 'x3'", "UPDATE t SET a = 2", "XA END 'x3'", "XA PREPARE 'x3'")
    try:
        reader.start = reader.here()
    finally:
        reader.sql("XA COMMIT 'x3'")
    _stop(reader, UnsupportedEventError)


def test_a_table_without_a_primary_key(reader: SourceReader) -> None:
    reader.sql("SET SESSION sql_generate_invisible_primary_key = OFF", "SET SESSION sql_require_primary_key = OFF")
    reader.sql("CREATE TABLE nokey (id INT, UNIQUE (id))")
    reader.start = reader.here()
    reader.sql("INSERT INTO nokey VALUES (1)")
    assert "ADD PRIMARY KEY" in _stop(reader, UnsafeError).hint
