"""Statements on captured tables: what goes on, what stops and how an operator goes on, barriers."""

from __future__ import annotations

import pytest

from cdc.definitions import read_definitions
from cdc_process import execute
from runner import until
from topic import Record, read_topics

pytestmark = pytest.mark.stack


def events(settings, database: str, *tables: str) -> list[Record]:
    names = [f"{settings.source.name}.{database}.{name}" for name in tables or ("t",)]
    found = [r for r in read_topics(settings.kafka.bootstrap_servers, names) if r.value is not None]
    return sorted(found, key=lambda r: r.value["source"]["seq"])


def rows(settings, database: str, *tables: str) -> list[dict]:
    return [r.value["after"] for r in events(settings, database, *tables) if r.value["op"] in "cu"]


@pytest.fixture
def running(cdc_settings, start, stored):
    settings = cdc_settings()
    process = start(settings)
    until(lambda: stored(settings).position, "the first position")
    return settings, process


def test_harmless_statements_go_on(running, mysql, table) -> None:
    settings, process = running
    with mysql.connect(database=table) as connection:
        execute(
            connection,
            "INSERT INTO t VALUES (1, 1)",
            "ALTER TABLE t ADD COLUMN c VARCHAR(10)",
            "INSERT INTO t VALUES (2, 2, 'two')",
            "ALTER TABLE t MODIFY n BIGINT",
            "CREATE INDEX i ON t (n)",
            "ALTER TABLE t DISABLE KEYS",
            "ALTER TABLE t DROP COLUMN c",
            "INSERT INTO t VALUES (3, 3)",
        )
    until(lambda: len(rows(settings, table)) == 3, "three rows")
    assert rows(settings, table) == [{"id": 1, "n": 1}, {"id": 2, "n": 2, "c": "two"}, {"id": 3, "n": 3}]
    assert process.stop() == 0, process.said


def test_a_default_stops_until_it_is_ignored_once(running, cdc_settings, start, stored, mysql, table) -> None:
    settings, process = running
    with mysql.connect(database=table) as connection:
        execute(
            connection,
            "INSERT INTO t VALUES (1, 1)",
            "ALTER TABLE t ADD COLUMN c INT DEFAULT 5",
            "INSERT INTO t VALUES (2, 2, 7)",
        )
    assert process.wait() == 6, process.said
    for text in (f"table {table}.t was changed by: ALTER TABLE t ADD COLUMN c INT DEFAULT 5", "ON_DDL=ignore"):
        assert text in process.said
    again = start(settings)
    assert again.wait() == 6, again.said
    ignoring = start(cdc_settings(cdc={"on_ddl": "ignore"}))
    until(lambda: len(rows(settings, table)) == 2, "both rows")
    assert ignoring.stop() == 0, ignoring.said
    assert "ddl_ignored" in ignoring.said
    last = start(settings)
    with mysql.connect(database=table) as connection:
        execute(connection, "INSERT INTO t VALUES (3, 3, 8)")
    until(lambda: len(rows(settings, table)) == 3, "the third row")
    assert last.stop() == 0, last.said
    assert [row["id"] for row in rows(settings, table)] == [1, 2, 3]


def test_a_change_made_while_cdc_was_down_stops_too(running, start, stored, mysql, table) -> None:
    settings, process = running
    assert process.stop() == 0
    with mysql.connect(database=table) as connection:
        execute(connection, "INSERT INTO t VALUES (1, 1)", "ALTER TABLE t CHANGE n m INT")
    again = start(settings)
    assert again.wait() == 6, again.said
    assert "may have been a renaming" in again.said


@pytest.mark.parametrize(
    "statement", ["RENAME TABLE t TO t_old", "RENAME TABLE shadow TO t2", "ALTER TABLE t REMOVE PARTITIONING"]
)
def test_moved_rows_stop(cdc_settings, start, stored, mysql, table, statement: str) -> None:
    settings = cdc_settings(cdc={"exclude": ["*.shadow", "*.t_old"]})
    with mysql.connect(database=table) as connection:
        execute(connection, "DROP TABLE t", "CREATE TABLE t (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2")
        execute(connection, "CREATE TABLE shadow (id INT PRIMARY KEY)")
        process = start(settings)
        until(lambda: stored(settings).position, "the first position")
        execute(connection, statement)
    assert process.wait() == 6, process.said
    assert "moved without row events" in process.said


def test_a_new_table_is_captured_or_refused_by_name(running, mysql, table) -> None:
    settings, process = running
    with mysql.connect(database=table) as connection:
        execute(connection, "CREATE TABLE bare (id INT)", "INSERT INTO bare VALUES (1)")
        execute(connection, "CREATE TABLE old (id INT PRIMARY KEY) ENGINE=MyISAM", "INSERT INTO old VALUES (1)")
        execute(connection, "CREATE TABLE fresh (id INT PRIMARY KEY)", "INSERT INTO fresh VALUES (1)")
    until(lambda: rows(settings, table, "fresh") == [{"id": 1}], "the row of the new table")
    assert process.stop() == 0, process.said
    assert f"{table}.bare is not captured: it has no primary key" in process.said
    assert f"{table}.old is not captured: it has engine MyISAM" in process.said
    assert rows(settings, table, "bare", "old") == []


def test_truncate_and_drop_put_a_barrier_into_every_partition(running, mysql, table) -> None:
    settings, process = running
    with mysql.connect(database=table) as connection:
        execute(connection, "INSERT INTO t VALUES (1, 1)", "TRUNCATE TABLE t", "INSERT INTO t VALUES (2, 2)")
        execute(connection, "DROP TABLE t", "CREATE TABLE t (id INT PRIMARY KEY, z INT DEFAULT 9)")
        execute(connection, "INSERT INTO t VALUES (3, 3)")
    until(lambda: len(rows(settings, table)) == 3, "three rows")
    assert process.stop() == 0, process.said
    barriers = [r for r in events(settings, table) if r.value["op"] == "t"]
    assert [r.partition for r in barriers] == [0, 1, 2, 0, 1, 2]
    assert {r.key for r in barriers} == {"barrier"}
    first, second = {r.value["below"] for r in barriers[:3]}, {r.value["below"] for r in barriers[3:]}
    seqs = [r.value["source"]["seq"] for r in events(settings, table) if r.value["op"] == "c"]
    assert len(first) == len(second) == 1
    assert seqs[0] < first.pop() < seqs[1] < second.pop() < seqs[2]


def test_a_table_that_came_and_went_while_cdc_was_down(running, start, mysql, table) -> None:
    settings, process = running
    with mysql.connect(database=table) as connection:
        execute(connection, "INSERT INTO t VALUES (1, 1)")
        until(lambda: len(rows(settings, table)) == 1, "the first row")
        assert process.stop() == 0
        execute(
            connection,
            "CREATE TABLE brief (k VARCHAR(9) PRIMARY KEY)",
            "INSERT INTO brief VALUES ('x')",
            "DROP TABLE brief",
            "INSERT INTO t VALUES (2, 2)",
        )
    again = start(settings)
    until(lambda: len(rows(settings, table)) == 2, "the second row")
    found = events(settings, table, "brief")
    assert [r.value["op"] for r in found] == ["c", "t", "t", "t"]
    assert again.stop() == 0, again.said


def test_a_table_made_from_a_select(running, start, mysql, table) -> None:
    settings, process = running
    assert process.stop() == 0, process.said
    with mysql.connect(database=table) as connection:
        execute(connection, "INSERT INTO t VALUES (1, 1), (2, 2)")
        execute(connection, "CREATE TABLE copy (PRIMARY KEY (id)) AS SELECT * FROM t")
    for point in ("after_publish:kill9@1", "after_publish:kill9@1"):
        assert start(settings, {"TIDEMARK_CRASH": point}).wait() == -9
    process = start(settings)
    until(lambda: len(rows(settings, table, "copy")) >= 2, "the copied rows")
    assert process.stop() == 0, process.said
    assert [row["id"] for row in rows(settings, table, "t", "copy")] == [1, 2, 1, 2]


def test_a_database_with_a_dot_in_its_name_is_refused_and_disturbs_nobody(
    cdc_settings, start, stored, mysql, table
) -> None:
    settings = cdc_settings(cdc={"tables": [f"{table}.*", f"{table}.y.*"]})
    with mysql.connect(database=table) as connection:
        execute(connection, "CREATE TABLE `y.z` (id INT PRIMARY KEY)", f"CREATE DATABASE `{table}.y`")
        try:
            execute(connection, f"CREATE TABLE `{table}.y`.z (id INT PRIMARY KEY, other INT)")
            process = start(settings)
            until(lambda: stored(settings).position, "the first position")
            execute(connection, f"INSERT INTO `{table}.y`.z VALUES (1, 1)", "INSERT INTO `y.z` VALUES (2)")
            execute(connection, f"CREATE TABLE `{table}.y`.late (id INT PRIMARY KEY)", f"TRUNCATE `{table}.y`.z")
            process.await_said("`.`late` is not captured")
            execute(connection, f"DROP TABLE `{table}.y`.z", "INSERT INTO `y.z` VALUES (3)")
        finally:
            execute(connection, f"DROP DATABASE `{table}.y`")
        execute(connection, "INSERT INTO `y.z` VALUES (4)")
    until(lambda: len(events(settings, table, "y-2ez")) == 3, "three rows")
    assert process.stop() == 0, process.said
    assert [row["id"] for row in rows(settings, table, "y-2ez")] == [2, 3, 4]
    assert f"`{table}.y`.`z` is not captured" in process.said
    assert f"{table}.y.z" in read_definitions(settings)


def test_a_captured_table_that_loses_its_key_while_cdc_is_down_loses_nothing(
    running, cdc_settings, start, mysql, table
) -> None:
    settings, process = running
    with mysql.connect(database=table) as connection:
        execute(connection, "CREATE TABLE mark (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1, 1)")
        until(lambda: len(rows(settings, table)) == 1, "the first row")
        assert process.stop() == 0, process.said
        execute(
            connection, "INSERT INTO t VALUES (2, 2)", "DELETE FROM t WHERE id = 1", "ALTER TABLE t DROP PRIMARY KEY"
        )
        again = start(settings)
        assert again.wait() == 6, again.said
        assert f"ALTER TABLE `{table}`.`t` ADD PRIMARY KEY" in again.said
        execute(connection, "ALTER TABLE t ADD PRIMARY KEY (id)", "INSERT INTO t VALUES (3, 3)")
        last = start(settings)
        until(lambda: len(events(settings, table)) == 4, "all changes")
        assert last.stop() == 0, last.said
    assert sorted((e.key["id"], e.value["op"]) for e in events(settings, table)) == [
        (1, "c"),
        (1, "d"),
        (2, "c"),
        (3, "c"),
    ]


def test_a_refused_table_is_captured_from_its_key_on(running, cdc_settings, start, mysql, table) -> None:
    settings, process = running
    with mysql.connect(database=table) as connection:
        execute(connection, "CREATE TABLE mark (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1, 1)")
        until(lambda: len(rows(settings, table)) == 1, "the first row")
        assert process.stop() == 0, process.said
        execute(connection, "ALTER TABLE t DROP PRIMARY KEY", "INSERT INTO t VALUES (2, 2)")
        ignoring = start(cdc_settings(cdc={"on_ddl": "ignore"}))
        ignoring.await_said("ddl_ignored")
        execute(connection, "CREATE TABLE bare (id INT)", "INSERT INTO mark VALUES (1)")
        until(lambda: rows(settings, table, "mark"), "what came before")
        assert ignoring.stop() == 0, ignoring.said
        last = start(settings)
        last.await_said("is not captured")
        execute(connection, "INSERT INTO mark VALUES (2)")
        until(lambda: len(rows(settings, table, "mark")) == 2, "what came before")
        execute(connection, "ALTER TABLE t ADD PRIMARY KEY (id)", "INSERT INTO t VALUES (3, 3)")
        execute(connection, "ALTER TABLE bare ADD PRIMARY KEY (id)", "INSERT INTO bare VALUES (4)")
        until(lambda: rows(settings, table, "bare"), "the last row")
        assert last.stop() == 0, last.said
    assert [row["id"] for row in rows(settings, table, "t", "bare")] == [1, 3, 4]
    assert "table_readmitted" in last.said
