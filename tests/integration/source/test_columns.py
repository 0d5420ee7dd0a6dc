# ruff: noqa: E501 - a definition stands in one line
"""Columns in odd places: generated, invisible, added and dropped at once, keys of every kind. The oracle is SELECT."""

from __future__ import annotations

import orjson
import pytest

from schemas.table import ColumnType
from source_reader import SourceReader

pytestmark = pytest.mark.stack


def _keys(reader: SourceReader) -> list[bytes]:
    return [record.key for record in reader.read().records]


def test_generated_and_invisible_columns(reader: SourceReader) -> None:
    reader.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, a INT, v INT AS (a * 2) VIRTUAL, s VARCHAR(9) AS (CONCAT('s', a)) STORED,"
        " hidden INT INVISIBLE DEFAULT 7, z INT, KEY ((a + z)), KEY (v))",
        "INSERT INTO t (id, a, z) VALUES (1, 5, 6)",
        "UPDATE t SET a = 6",
    )
    first, second = reader.read().rows
    assert first == {"id": 1, "a": 5, "v": 10, "s": "s5", "hidden": 7, "z": 6}
    assert second == {**first, "a": 6, "v": 12, "s": "s6"}


def test_a_generated_invisible_primary_key(reader: SourceReader) -> None:
    reader.sql(
        "SET SESSION sql_generate_invisible_primary_key = ON", "CREATE TABLE t (a INT)", "INSERT INTO t VALUES (5)"
    )
    seen = reader.read()
    assert seen.rows == [{"my_row_id": 1, "a": 5}]
    assert seen.records[0].key == b'{"my_row_id":1}'


def test_instant_columns(reader: SourceReader) -> None:
    reader.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT)",
        "INSERT INTO t VALUES (1, 2, 3)",
        "ALTER TABLE t ADD COLUMN c INT DEFAULT 9 AFTER id, ALGORITHM = INSTANT",
        "INSERT INTO t VALUES (2, 4, 5, 6)",
        "ALTER TABLE t DROP COLUMN a, ALGORITHM = INSTANT",
        "UPDATE t SET b = b + 1",
    )
    seen = reader.read()
    assert seen.rows == [
        {"id": 1, "a": 2, "b": 3},
        {"id": 2, "c": 4, "a": 5, "b": 6},
        {"id": 1, "c": 9, "b": 4},
        {"id": 2, "c": 4, "b": 7},
    ]
    assert [table.version for table in seen.tables] == [1, 2, 3]
    assert [event["source"]["table_version"] for event in seen.events] == [1, 2, 3, 3]


def test_a_layout_that_is_known_gets_no_new_version(reader: SourceReader) -> None:
    reader.sql("CREATE TABLE t (id INT PRIMARY KEY, e ENUM('a'))", "INSERT INTO t VALUES (1, 'a')")
    (table,) = reader.read().tables
    reader.known[table.full_name] = table
    reader.sql("INSERT INTO t VALUES (2, 'a')", "FLUSH BINARY LOGS", "INSERT INTO t VALUES (3, 'a')")
    assert reader.read().tables == []
    reader.sql("ALTER TABLE t MODIFY e ENUM('a','b')", "INSERT INTO t VALUES (4, 'b')")
    (newer,) = reader.read().tables
    assert (newer.version, newer.columns[1].labels) == (2, ("a", "b"))


def test_composite_keys_keep_their_order(reader: SourceReader) -> None:
    reader.sql(
        "CREATE TABLE t (a VARCHAR(9), b INT UNSIGNED, c BINARY(3), PRIMARY KEY (c, a, b))",
        "INSERT INTO t VALUES ('x|', 4294967295, x'610000'), ('', 1, x'00')",
    )
    assert _keys(reader) == [b'{"c":"YQAA","a":"x|","b":4294967295}', b'{"c":"AAAA","a":"","b":1}']


def test_a_key_with_prefixes_holds_whole_values(reader: SourceReader) -> None:
    reader.sql(
        "CREATE TABLE t (n INT, a VARCHAR(50), b BLOB, PRIMARY KEY (a(2), n, b(1)))",
        "INSERT INTO t VALUES (1, 'abcdef', 'xyz')",
    )
    assert _keys(reader) == [b'{"a":"abcdef","n":1,"b":"eHl6"}']


def test_every_type_that_can_be_a_key(reader: SourceReader) -> None:
    reader.sql(
        "CREATE TABLE t (e ENUM('x','y'), s SET('p','q'), d DATETIME(3), m DECIMAL(9,3), f FLOAT, bi BIT(1), ti TIME(2),"
        " y YEAR, PRIMARY KEY (e, s, d, m, f, bi, ti, y))",
        "INSERT INTO t VALUES ('y', 'p,q', '2026-11-21 01:02:03.004', 1.5, 0.1, b'1', '-00:00:00.5', 2026)",
    )
    (key,) = _keys(reader)
    assert orjson.loads(key) == {
        "e": "y", "s": ["p", "q"], "d": "2026-11-21T01:02:03.004", "m": "1.500", "f": 0.1, "bi": True,
        "ti": "-00:00:00.50", "y": 2026,
    }  # fmt: skip


def test_the_widest_table(reader: SourceReader) -> None:
    columns = [f"c{number}" for number in range(1016)]
    reader.sql(
        f"CREATE TABLE t (id INT PRIMARY KEY, {', '.join(f'{name} SMALLINT UNSIGNED' for name in columns)})",
        f"INSERT INTO t VALUES (1, {', '.join(str(65535 - n) if n % 3 else 'NULL' for n in range(1016))})",
    )
    (row,) = reader.read().rows
    assert row == {"id": 1, **{f"c{n}": 65535 - n if n % 3 else None for n in range(1016)}}


def test_names_of_every_kind(reader: SourceReader) -> None:
    reader.sql(
        "CREATE TABLE `t.ü ``q``` (`id` INT PRIMARY KEY, `_id` INT, `a.b` INT, `日本` INT, `sp ace` INT, `100%` INT)",
        "INSERT INTO `t.ü ``q``` VALUES (1, 2, 3, 4, 5, 6)",
    )
    seen = reader.read()
    assert seen.rows == [{"id": 1, "_id": 2, "a.b": 3, "日本": 4, "sp ace": 5, "100%": 6}]
    assert seen.events[0]["source"]["table"] == "t.ü `q`"


def test_what_the_layout_says(reader: SourceReader) -> None:
    reader.sql(
        "CREATE TABLE t (y YEAR, u INT UNSIGNED NOT NULL, f FLOAT UNSIGNED, n BIGINT, d DECIMAL(12,4) UNSIGNED,"
        " c CHAR(10) CHARACTER SET latin2, v VARCHAR(300) CHARACTER SET utf8mb4, x VARBINARY(9), b BINARY(16),"
        " t TEXT CHARACTER SET koi8r, l LONGBLOB, bits BIT(33), e ENUM('a') CHARACTER SET swe7, s SET('b','c'),"
        " ts TIMESTAMP(6) NULL, j JSON, g POINT, ve VECTOR(8), PRIMARY KEY (u))",
        "INSERT INTO t (u) VALUES (1)",
    )
    (table,) = reader.read().tables
    columns = {column.name: column for column in table.columns}
    assert table.primary_key == ("u",)
    assert table.topic == f"src.{reader.db}.t"
    assert [name for name, column in columns.items() if column.unsigned] == ["u", "f", "d"]
    assert [name for name, column in columns.items() if not column.nullable] == ["u"]
    assert {name: column.charset for name, column in columns.items() if column.charset} == {
        "c": "latin2", "v": "utf8mb4", "t": "koi8r", "e": "swe7", "s": "utf8mb4",
    }  # fmt: skip
    assert [columns[name].length for name in ("c", "v", "x", "b", "t", "l", "bits", "j", "g", "ve")] == [
        10, 1200, 9, 16, 2, 4, 33, 4, 4, 4,
    ]  # fmt: skip
    assert (columns["d"].precision, columns["d"].scale, columns["ts"].fsp) == (12, 4, 6)
    assert columns["x"].type is ColumnType.VARBINARY
    assert columns["ve"].type is ColumnType.VECTOR


def test_vectors_beside_text(reader: SourceReader) -> None:
    """A VECTOR has its place among the character sets, though it has none."""
    reader.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, a CHAR(3), v VECTOR(2), b TEXT CHARACTER SET latin1, w VECTOR(1), c BLOB)",
        "INSERT INTO t VALUES (1, 'é', TO_VECTOR('[1,2]'), 'ü', TO_VECTOR('[3]'), 'x')",
    )
    assert reader.read().rows == [{"id": 1, "a": "é", "v": [1.0, 2.0], "b": "ü", "w": [3.0], "c": "eA=="}]
