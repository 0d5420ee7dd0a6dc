"""Statements: barriers for what was emptied, a word to the pipeline about what may have changed, silence else."""

from __future__ import annotations

import orjson
import pytest

from cdc.source.seam import Ddl, DdlKind
from source_reader import Seen, SourceReader

pytestmark = pytest.mark.stack


def _filled(reader: SourceReader, *tables: str) -> None:
    """Tables with a row each, whose layouts are known."""
    for table in tables:
        reader.sql(f"CREATE TABLE `{table}` (id INT PRIMARY KEY)", f"INSERT INTO `{table}` VALUES (1)")
    seen = reader.read()
    reader.known.update({table.full_name: table for table in seen.tables})
    reader.start = reader.here()


def _ddls(seen: Seen) -> list[Ddl]:
    """Those about tables; others use the server too, and drop their databases."""
    return [batch.ddl for batch in seen.batches if batch.ddl and "." in batch.ddl.tables[0]]


def _emptied(seen: Seen) -> list[str]:
    """Tables with a barrier, in order; each must have one in every partition."""
    topics = [record.topic for record in seen.barriers]
    assert [record.partition for record in seen.barriers] == [0, 1, 2] * (len(topics) // 3)
    return [topic.split(".", 2)[2] for topic in topics[::3]]


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE t",
        "truncate table t",
        "/* c */ TRUNCATE /*!50000 TABLE */ `t` -- end",
        "TRUNCATE TABLE {db}.t",
        "TRUNCATE `{db}` . `t`",
        "DROP TABLE t",
        "DROP TABLE IF EXISTS nothing, `{db}`.t",
    ],
)
def test_what_empties_a_table_is_a_barrier(reader: SourceReader, statement: str) -> None:
    _filled(reader, "t", "kept")
    reader.sql(statement.format(db=reader.db))
    seen = reader.read()
    assert _emptied(seen) == ["t"]
    (ddl,) = _ddls(seen)
    assert ddl.kind is (DdlKind.DROPPED if statement.startswith("DROP") else DdlKind.EMPTIED)
    assert f"{reader.db}.t" in ddl.tables
    value = orjson.loads(seen.barriers[0].value or b"")
    assert value["op"] == "t"
    assert value["below"] == value["source"]["seq"] == seen.position.seq
    assert list(value) == ["op", "source", "below"]


def test_each_table_of_a_drop_has_its_own_barrier(reader: SourceReader) -> None:
    _filled(reader, "a", "b", "c.d")
    reader.sql("DROP TABLE a, `c.d`")
    seen = reader.read()
    assert sorted(_emptied(seen)) == ["a", "c.d"]
    assert len({orjson.loads(record.value or b"")["below"] for record in seen.barriers}) == 2


def test_a_table_made_and_dropped_before_anybody_reads(reader: SourceReader) -> None:
    """What its rows mean travels with them: the server knows another table of that name by now, or none."""
    reader.sql(
        "CREATE TABLE brief (id INT PRIMARY KEY, a VARCHAR(9))",
        "INSERT INTO brief VALUES (1, 'one')",
        "DROP TABLE brief",
        "CREATE TABLE brief (a BLOB, id BIGINT UNSIGNED, PRIMARY KEY (id))",
        "INSERT INTO brief VALUES ('two', 18446744073709551615)",
        "DROP TABLE brief",
    )
    seen = reader.read()
    assert seen.rows == [{"id": 1, "a": "one"}, {"a": "dHdv", "id": 18446744073709551615}]
    assert [table.version for table in seen.tables] == [1, 2]
    assert len(seen.barriers) == 2 * reader.router.count


def test_a_dropped_database(reader: SourceReader) -> None:
    _filled(reader, "a", "b")
    reader.sql(f"DROP SCHEMA IF EXISTS `{reader.db}`")
    seen = reader.read()
    assert sorted(_emptied(seen)) == ["a", "b"]
    assert (reader.db,) in [batch.ddl.tables for batch in seen.batches if batch.ddl]


def test_order_around_a_truncate(reader: SourceReader) -> None:
    _filled(reader, "t")
    reader.sql("INSERT INTO t VALUES (2)", "TRUNCATE t", "INSERT INTO t VALUES (1)")
    seen = reader.read()
    barrier = orjson.loads(seen.barriers[0].value or b"")["below"]
    before, after = (event["source"]["seq"] for event in seen.events)
    assert before < barrier < after
    (ending,) = [batch for batch in seen.batches if batch.ddl and batch.records]
    assert [record.key for record in ending.records] == [b'{"id":2}', *[b'"barrier"'] * 3]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TEMPORARY TABLE t (id INT PRIMARY KEY)",
        "CREATE VIEW v AS SELECT * FROM t",
        "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET @x = 1",
        "CREATE PROCEDURE p() BEGIN TRUNCATE t; END",
        "ANALYZE TABLE t",
        "FLUSH TABLES",
        "ALTER DATABASE `{db}` CHARACTER SET latin1",
    ],
)
def test_what_touches_no_rows_is_not_told(reader: SourceReader, statement: str) -> None:
    _filled(reader, "t")
    reader.sql(statement.format(db=reader.db))
    seen = reader.read()
    assert (seen.barriers, _ddls(seen)) == ([], [])


def test_a_temporary_table_is_not_the_table(reader: SourceReader) -> None:
    _filled(reader, "t")
    reader.sql("CREATE TEMPORARY TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (9)", "TRUNCATE t")
    reader.sql("DROP TEMPORARY TABLE t", "INSERT INTO t VALUES (5)")
    seen = reader.read()
    assert seen.barriers == []
    assert [row["id"] for row in seen.rows] == [5]


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("ALTER TABLE t ADD COLUMN a INT", DdlKind.OTHER),
        ("ALTER TABLE t PARTITION BY HASH (id) PARTITIONS 2", DdlKind.REPLACED),
        ("ALTER TABLE t RENAME TO t2", DdlKind.REPLACED),
        ("RENAME TABLE t TO t2, other TO t", DdlKind.REPLACED),
        ("CREATE INDEX i ON t (id)", DdlKind.OTHER),
        ("CREATE TABLE new LIKE t", DdlKind.OTHER),
        ("ALTER TABLE t RENAME COLUMN id TO id2", DdlKind.OTHER),
    ],
)
def test_what_may_change_a_table_ends_the_batch(reader: SourceReader, statement: str, kind: DdlKind) -> None:
    _filled(reader, "t", "other")
    reader.sql("INSERT INTO t VALUES (2)", statement)
    seen = reader.read()
    (ddl,) = _ddls(seen)
    assert (ddl.kind, ddl.db, ddl.statement) == (kind, reader.db, statement)
    assert ddl.gtid
    assert any(name.startswith(f"{reader.db}.") for name in ddl.tables)
    assert seen.barriers == []


def test_create_table_select(reader: SourceReader) -> None:
    _filled(reader, "t")
    reader.sql("CREATE TABLE copy (PRIMARY KEY (id)) AS SELECT id, id * 2 AS twice FROM t")
    seen = reader.read()
    assert seen.rows == [{"id": 1, "twice": 2}]
    (ddl,) = _ddls(seen)
    assert ddl.tables == (f"{reader.db}.copy",)
    position = next(batch.position for batch in seen.batches if batch.ddl is ddl)
    assert position.open is not None
    again = reader.read(position)
    assert again.rows == [{"id": 1, "twice": 2}]


def test_ansi_quotes_and_names_in_other_alphabets(reader: SourceReader) -> None:
    _filled(reader, "tä.b", 'q"x')
    reader.sql("SET SESSION sql_mode = 'ANSI_QUOTES'", 'TRUNCATE TABLE "tä.b"', 'DROP TABLE "q""x"')
    assert _emptied(reader.read()) == ["tä.b", 'q"x']


def test_names_through_another_client_character_set(reader: SourceReader) -> None:
    _filled(reader, "tä")
    connection = reader.mysql.connect(database=reader.db, charset="latin1")
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE TABLE tä")
    connection.close()
    assert _emptied(reader.read()) == ["tä"]


def test_a_table_that_was_never_seen_needs_no_barrier(reader: SourceReader) -> None:
    reader.sql("CREATE TABLE t (id INT PRIMARY KEY)", "TRUNCATE t", "DROP TABLE t")
    seen = reader.read()
    assert seen.barriers == []
    assert [ddl.kind for ddl in _ddls(seen)] == [DdlKind.OTHER, DdlKind.EMPTIED, DdlKind.DROPPED]
