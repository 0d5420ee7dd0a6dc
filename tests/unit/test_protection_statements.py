"""Statements on protected tables: renames that would leak, and texts without the values in them."""

from __future__ import annotations

import pytest

from cdc.source.protection import Policy, Protections, TablePolicies
from cdc.source.query import Query
from cdc.source.redact import redacted
from cdc.source.renames import check_renames
from cdc.source.sql import NEWEST
from cdc.source.statement import classify
from schemas.errors import ProtectionError


class _Router:
    def wants(self, db: str, table: str) -> bool:
        return db == "d" and not table.startswith("_")

    def captures(self, db: str, table: str) -> bool:
        return self.wants(db, table)

    def topic(self, db: str, table: str) -> str:
        return f"s.{db}.{table}"

    def partitions(self, _topic: str) -> int:
        return 1


PROTECTIONS = Protections(
    {
        "d.t": TablePolicies(columns={"ssn": Policy.EXCLUDE, "ssn2": Policy.EXCLUDE, "mail": Policy.MASK}),
        "d.like_t": TablePolicies(columns={"ssn": Policy.EXCLUDE, "ssn2": Policy.EXCLUDE, "mail": Policy.MASK}),
        "d.masked": TablePolicies(columns={"ssn": Policy.MASK}),
    }
)


def query(text: str, *, ansi: bool = False, escapes: bool = True) -> Query:
    return Query(thread=1, db="d", text=text, ansi_quotes=ansi, backslash_escapes=escapes, updated_dbs=None)


def check(text: str) -> None:
    asked = query(text)
    check_renames(asked, classify(asked), NEWEST, PROTECTIONS, _Router())


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE t RENAME COLUMN ssn TO x",
        "alter table `d`.`t` rename column `ssn` to `x`, ALGORITHM=INSTANT",
        "ALTER TABLE t ADD COLUMN n INT, CHANGE SSN x CHAR(11) COMMENT 'ssn'",
        "ALTER TABLE t RENAME COLUMN Ssn TO mail",
        "ALTER TABLE t RENAME COLUMN x TO ssn, RENAME COLUMN ssn TO x",
        "ALTER TABLE t RENAME COLUMN ssn TO x, ADD COLUMN ssn CHAR(11)",
        "ALTER TABLE t CHANGE COLUMN IF EXISTS ssn x CHAR(11)",
        "ALTER TABLE t /*!80000 RENAME COLUMN ssn TO x */",
        "ALTER TABLE t RENAME COLUMN mail TO ssn2",
        "ALTER TABLE t RENAME TO u, RENAME COLUMN ssn TO x",
        "RENAME TABLE t TO u",
        "RENAME TABLE t TO _old, masked TO t, like_t TO masked",
        "ALTER TABLE t RENAME AS masked",
        "ALTER TABLE u EXCHANGE PARTITION p WITH TABLE t",
        "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u",
        "RENAME TABLE t TO other.tmp, u TO t, other.tmp TO u",
        "RENAME TABLE t TO _a, _a TO _b, _b TO masked",
        "ALTER TABLE t ADD COLUMN tablespace INT, RENAME TO u",
        "ALTER TABLE t RENAME TO u, REMOVE PARTITIONING",
        "ALTER TABLE t RENAME TO like_t, RENAME TO u",
    ],
)
def test_what_would_leak_is_refused(text: str) -> None:
    with pytest.raises(ProtectionError) as caught:
        check(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE t RENAME COLUMN ssn TO ssn2",
        "ALTER TABLE t CHANGE ssn SSN CHAR(20)",
        "ALTER TABLE t RENAME COLUMN SSN TO Ssn2",
        "ALTER TABLE t CHANGE COLUMN śsn x CHAR(11)",
        "ALTER TABLE t CHANGE ssn ssn CHAR(20), RENAME INDEX ssn TO x, RENAME KEY ssn TO y",
        "ALTER TABLE t RENAME COLUMN x TO mail",
        "ALTER TABLE t DROP COLUMN ssn, ADD COLUMN ssn INT",
        "ALTER TABLE t ADD COLUMN c INT DEFAULT 5 COMMENT 'RENAME COLUMN ssn TO x'",
        "ALTER TABLE u RENAME COLUMN ssn TO x",
        "RENAME TABLE t TO _old, like_t TO t",
        "RENAME TABLE t TO other.t",
        "RENAME TABLE t TO u, u TO _old",
        "RENAME TABLE t TO other.tmp, like_t TO t, other.tmp TO like_t",
        "ALTER TABLE t RENAME TO u, RENAME TO like_t",
        "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE like_t",
        "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE _old",
        "RENAME TABLE u TO t",
        "CREATE TABLE n (ssn INT)",
    ],
)
def test_what_does_not_leak_goes_on(text: str) -> None:
    check(text)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (query("ALTER TABLE `t` ALTER ssn SET DEFAULT 'canary''s', ADD x INT DEFAULT 12.5 /* canary */ -- canary"),
         "ALTER TABLE `t` ALTER ssn SET DEFAULT ?, ADD x INT DEFAULT ?.?"),
        (query('INSERT INTO t VALUES ("canary", x\'4242\', 0x42, N\'ü\', -1e5, _utf8"c\\"anary", NULL)'),
         "INSERT INTO t VALUES (?, x?, ?, N?, -?, _utf8?, NULL)"),
        (query('UPDATE "t" SET "ssn" = \'a\\\'', ansi=True, escapes=False), 'UPDATE "t" SET "ssn" = ?'),
        (query("UPDATE t SET ssn = 'canary"), "UPDATE t SET ssn = …"),
        (query("UPDATE t SET ssn = 'can\ufffdary'"), "UPDATE …"),
        (query("/*!40000 ALTER TABLE t DISABLE KEYS */"), "ALTER TABLE t DISABLE KEYS"),
        (query("# canary\nALTER TABLE t\n\tENGINE = InnoDB"), "ALTER TABLE t ENGINE = InnoDB"),
    ],
)  # fmt: skip
def test_values_are_left_out_of_statements(asked: Query, shown: str) -> None:
    assert " ".join(redacted(asked).split()) == shown
