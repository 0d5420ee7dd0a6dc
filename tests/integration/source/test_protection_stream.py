"""Protected columns among others: places, sizes, character sets, partial updates, and layouts that no longer fit."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from cdc.source.seam import LossKind
from protecting import hashed, protecting
from schemas.errors import ProtectionError, TidemarkError
from source_reader import Seen, SourceReader

pytestmark = pytest.mark.stack


def test_columns_in_every_place(reader: SourceReader) -> None:
    reader.sql(
        "CREATE TABLE t (a VARCHAR(9), b INT, id INT PRIMARY KEY, c BLOB, d DECIMAL(9,2), e TEXT, f TIMESTAMP(6) NULL)",
        "INSERT INTO t VALUES ('first', 1, 1, 'blob', 12.30, 'last', NULL), (NULL, NULL, 2, NULL, NULL, NULL, NULL)",
        "UPDATE t SET id = 3, a = 'second' WHERE id = 1",
        "DELETE FROM t WHERE id = 2",
    )
    seen = reader.read(
        protections=protecting(reader.db, a="exclude", c="mask", d="hash", e="exclude", f="exclude"),
        clock=lambda: 1.5,
    )
    one = {"b": 1, "id": 1, "c": "***", "d": hashed("12.30")}
    nothing = {"b": None, "id": 2, "c": None, "d": None}
    assert [(event["before"], event["after"]) for event in seen.events] == [
        (None, one), (None, nothing), (one, None), (None, {**one, "id": 3}), (nothing, None),
    ]  # fmt: skip
    assert [record.key for record in seen.records if record.value] == [
        b'{"id":1}', b'{"id":2}', b'{"id":1}', b'{"id":3}', b'{"id":2}',
    ]  # fmt: skip
    assert [column.name for column in seen.tables[0].columns] == ["b", "id", "c", "d"]
    assert not any(b"first" in (record.value or b"") or b"second" in (record.value or b"") for record in seen.records)


def test_large_events_lose_what_is_shown_of_them(reader: SourceReader) -> None:
    """What is excluded, masked or hashed weighs what the event holds of it."""
    reader.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, a TEXT, b TEXT, c TEXT, d TEXT)",
        "INSERT INTO t VALUES (1, REPEAT('a', 5000), REPEAT('b', 5000), REPEAT('c', 5000), REPEAT('d', 600))",
    )
    policies = {"a": "exclude", "b": "mask", "c": "hash"}
    (event,) = reader.read(protections=protecting(reader.db, **policies), max_event_bytes=1500).events
    assert event["after"] == {"id": 1, "b": "***", "c": hashed("c" * 5000), "d": "d" * 600}
    (smaller,) = reader.read(protections=protecting(reader.db, **policies), max_event_bytes=1000).events
    assert smaller["source"]["omitted"] == ["d"]
    (smallest,) = reader.read(protections=protecting(reader.db, **policies), max_event_bytes=1).events
    assert sorted(smallest["source"]["omitted"]) == ["b", "c", "d"]
    assert smallest["after"] == {"id": 1}


def test_hashes_know_no_character_set(reader: SourceReader) -> None:
    sets = ("latin1", "utf8mb4", "utf16", "cp1251", "gb18030")
    values = ", ".join("'abc'" for _ in sets)
    columns = ", ".join(f"c{number} VARCHAR(20) CHARACTER SET {name}" for number, name in enumerate(sets))
    reader.sql(f"CREATE TABLE t (id INT PRIMARY KEY, {columns})", f"INSERT INTO t VALUES (1, {values})")
    policies = {f"c{number}": "hash" for number in range(len(sets))}
    (event,) = reader.read(protections=protecting(reader.db, **policies)).events
    assert {event["after"][name] for name in policies} == {hashed("abc")}


@pytest.mark.parametrize("open_too", [False, True])
def test_bytes_that_are_no_text(reader: SourceReader, open_too: bool) -> None:
    """Of protected columns nobody is told that their bytes are none; of others they are, beside them."""
    bad = "VARCHAR(20) CHARACTER SET swe7"
    reader.sql(
        "SET SESSION sql_mode = ''",
        f"CREATE TABLE t (id INT PRIMARY KEY, a {bad}, m {bad}, e {bad}, o {bad}, b VARBINARY(20))",
        f"INSERT INTO t SELECT 1, x, x, x, {'x' if open_too else 'NULL'}, x'ff00' FROM (SELECT _binary x'616280' x) o",
    )
    ((stored, size),) = reader.sql("SELECT HEX(a), LENGTH(e) FROM t")
    assert (stored, size) == ("616280", 3)
    seen = reader.read(protections=protecting(reader.db, a="hash", m="mask", e="exclude", b="hash"))
    (event,) = seen.events
    kept = "base64:YWKA" if open_too else None
    assert event["after"] == {"id": 1, "a": hashed("base64:YWKA"), "m": "***", "o": kept, "b": hashed("/wA=")}
    assert event["source"].get("undecodable") == (["o"] if open_too else None)
    losses = [(loss.kind, loss.columns, loss.count) for batch in seen.batches for loss in batch.losses]
    assert losses == ([(LossKind.UNDECODABLE, ("o",), 1)] if open_too else [])


@pytest.mark.parametrize(("policy", "shown"), [("exclude", None), ("mask", "***"), ("hash", "")])
def test_partial_updates_of_json(reader: SourceReader, native: str, policy: str, shown: str | None) -> None:
    reader.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, j JSON, k JSON)",
        "INSERT INTO t VALUES (1, JSON_OBJECT('a', 'canary', 'b', REPEAT('x', 500)), JSON_OBJECT('a', 1, 'b', 2))",
        "SET SESSION binlog_row_value_options = 'PARTIAL_JSON'",
        "UPDATE t SET j = JSON_SET(j, '$.a', 'canari'), k = JSON_REPLACE(k, '$.a', 3)",
        "UPDATE t SET j = NULL",
        "SET SESSION binlog_row_value_options = ''",
    )
    seen = reader.read(engine=native, protections=protecting(reader.db, j=policy))
    rows = [event["after"] for event in seen.events]
    assert [row["k"]["a"] for row in rows] == [1, 3, 3]
    if policy == "hash":
        text = '{"a":"%s","b":"' + "x" * 500 + '"}'
        assert [row["j"] for row in rows] == [hashed(text % "canary"), hashed(text % "canari"), None]
    else:
        assert [row.get("j") for row in rows] == [shown, shown, None]
    assert not any(b"canar" in (record.value or b"") for record in seen.records)


def stopped(reader: SourceReader, kind: type[TidemarkError], **settings: Any) -> TidemarkError:
    with pytest.raises(kind) as caught:
        reader.read(**settings)
    return caught.value


def test_a_table_made_later_is_held_against_its_policy(reader: SourceReader) -> None:
    protections = protecting(reader.db, email="hash")
    reader.sql("CREATE TABLE t (id INT PRIMARY KEY, emial VARCHAR(20))", "INSERT INTO t VALUES (1, 'canary')")
    error = stopped(reader, ProtectionError, protections=protections)
    assert "t has no column email, which is to be hashed; did you mean emial?" in error.what
    assert "canary" not in f"{error!r} {error} {error.hint}"
    assert error.where
    error = stopped(reader, ProtectionError, protections=protecting(reader.db, id="mask"))
    assert "in its primary key" in error.what


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE t RENAME COLUMN ssn TO x",
        "ALTER TABLE t CHANGE ssn x CHAR(20) DEFAULT 'canary'",
        "ALTER TABLE t RENAME COLUMN ssn TO name, RENAME COLUMN name TO ssn",
    ],
)
def test_a_renamed_column_stops_by_name_until_both_names_are_protected(reader: SourceReader, statement: str) -> None:
    reader.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, ssn CHAR(20), name CHAR(20))",
        "INSERT INTO t VALUES (1, 'canary', 'name')",
        statement,
        "UPDATE t SET id = 2",
    )
    error = stopped(reader, ProtectionError, protections=protecting(reader.db, ssn="exclude"))
    assert "column ssn of" in error.what
    assert "canary" not in f"{error!r} {error} {error.hint}"
    names = {"ssn": "exclude", "x": "exclude", "name": "exclude"}
    seen: Seen = reader.read(protections=protecting(reader.db, optional=("ssn", "x", "name"), **names))
    assert not any(b"canary" in (record.value or b"") for record in seen.records)
    assert [row["id"] for row in seen.rows] == [1, 2]


def test_a_dropped_column_stops_by_name(reader: SourceReader) -> None:
    """From the layout alone it could be a renaming that was not logged."""
    reader.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, ssn CHAR(20))", "ALTER TABLE t DROP COLUMN ssn", "INSERT INTO t VALUES (1)"
    )
    assert "has no column ssn" in stopped(reader, ProtectionError, protections=protecting(reader.db, ssn="mask")).what
    assert reader.read(protections=protecting(reader.db, ssn="mask", optional=("ssn",))).rows == [{"id": 1}]


def test_a_policy_that_changes_makes_a_new_layout(reader: SourceReader) -> None:
    reader.sql("CREATE TABLE t (id INT PRIMARY KEY, a CHAR(9), b INT)", "INSERT INTO t VALUES (1, 'x', 2)")
    (plain,) = reader.read().tables
    reader.known[plain.full_name] = plain
    (hashing,) = reader.read(protections=protecting(reader.db, a="hash")).tables
    reader.known[plain.full_name] = hashing
    assert reader.read(protections=protecting(reader.db, a="hash")).tables == []
    (excluding,) = reader.read(protections=protecting(reader.db, a="exclude")).tables
    assert [table.version for table in (plain, hashing, excluding)] == [1, 2, 3]
    assert [column.name for column in excluding.columns] == ["id", "b"]
    assert orjson.loads(orjson.dumps(hashing.to_json()))["columns"][1]["protection"] == "hash"
