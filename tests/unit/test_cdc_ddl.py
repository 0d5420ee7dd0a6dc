"""The policy for statements: what stops, what goes on, what is remembered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from cdc.checks import Inspected
from cdc.ddl import DdlPolicy
from cdc.definition import ColumnFacts, Definition
from cdc.inventory import TableFacts
from cdc.protected_definition import declared_as
from cdc.route import TableFilter, TableRouter
from cdc.server import Server
from cdc.source.hash_key import HashKey
from cdc.source.protection import Policy, Protections, TablePolicies
from cdc.source.seam import Batch, Ddl, DdlKind
from ops.settings import Settings
from schemas.errors import DdlError
from schemas.position import Position
from schemas.table import Column, ColumnType, Table

SERVER = Server(version=(9, 7), text="9.7", mariadb=False, uuid="u", gtids=True)
AT = Position(gtid_set="", file="bin.1", pos=4, server_uuid="u", seq=0)


def definition(*names: str, filled: tuple[str, ...] = ()) -> Definition:
    columns = tuple(ColumnFacts(name=n, type="int", nullable=n != "id", filled=n in (*filled, "id")) for n in names)
    return Definition(columns=columns, primary_key=("id",))


class World:
    """What the server would say, changed by the tests."""

    def __init__(self, on_ddl: str = "stop", stored: dict[str, Definition] | None = None) -> None:
        self.tables = {"d.t": definition("id", "a")}
        self.refused: dict[str, tuple[str, str]] = {}
        self.on_ddl = on_ddl
        self.stored = dict(stored or {})
        self.layouts: dict[str, Table] = {}
        self.router = TableRouter("s", TableFilter(["d.*"]), topics={}, pinned={}, count=lambda _t: 1)

    def policy(self) -> DdlPolicy:
        settings = Settings.model_validate({"source": {"name": "s"}, "cdc": {"on_ddl": self.on_ddl}})
        return DdlPolicy(settings, self.router, known=self.layouts, stored=self.stored, look=self.look)

    def look(self) -> tuple[Inspected, dict[str, Definition]]:
        facts = tuple(TableFacts(db="d", name=n.split(".")[1], engine="InnoDB", keyed=True) for n in self.tables)
        return Inspected(server=SERVER, tables=facts, refused=self.refused, findings=()), dict(self.tables)

    def judge(self, policy: DdlPolicy, *args: Any, **options: Any) -> None:
        """Judge, and keep the notes as Kafka would."""
        for key, value in policy.judge(batch(*args, **options)):
            name = orjson.loads(key)["definition"]
            if value is None:
                self.stored.pop(name, None)
            else:
                self.stored[name] = Definition.from_json(orjson.loads(value))


def batch(
    statement: str = "",
    *tables: str,
    kind: DdlKind = DdlKind.OTHER,
    moved: tuple[str, ...] = (),
    layouts: tuple[Table, ...] = (),
) -> Batch:
    ddl = Ddl(kind=kind, db="d", tables=tables, statement=statement, gtid="", file="bin.1", pos=9, moved=moved)
    ddl = ddl if statement else None
    return Batch(records=(), position=AT, ddl=ddl, tables=layouts)


def layout(version: int, *names: str) -> Table:
    columns = tuple(Column(name=n, type=ColumnType.INT, nullable=n != "id") for n in names)
    return Table(db="d", name="t", version=version, columns=columns, primary_key=("id",), topic="s.d.t")


def test_a_nullable_column_goes_on_and_is_remembered() -> None:
    world = World()
    policy = world.policy()
    world.judge(policy)
    world.tables["d.t"] = definition("id", "a", "b")
    world.judge(policy, "ALTER TABLE t ADD b INT", "d.t")
    assert [c.name for c in world.stored["d.t"].columns] == ["id", "a", "b"]


def test_a_column_with_a_default_stops_again_after_a_restart_and_goes_on_when_ignored_once() -> None:
    world = World()
    world.judge(world.policy())
    world.tables["d.t"] = definition("id", "a", "b", filled=("b",))
    for _ in range(2):
        with pytest.raises(DdlError, match=r"d\.t was changed by: ALTER .*column b was added") as caught:
            world.judge(world.policy(), "ALTER TABLE t ADD b INT DEFAULT 5", "d.t")
        assert "TIDEMARK_CDC__ON_DDL=ignore" in caught.value.hint
    world.on_ddl = "ignore"
    world.judge(world.policy(), "ALTER TABLE t ADD b INT DEFAULT 5", "d.t")
    world.on_ddl = "stop"
    world.layouts = {"d.t": layout(1, "id", "a")}
    policy = world.policy()
    world.judge(policy, "CREATE INDEX i ON t (a)", "d.t")
    world.judge(policy, layouts=(layout(2, "id", "a", "b"),))


def test_a_change_that_the_declaration_no_longer_shows_is_seen_in_the_layouts() -> None:
    """cdc lags behind: by the time it meets CREATE, the server shows what a later ALTER made of the table."""
    world = World()
    world.tables = {"d.t": definition("id", "b", filled=("b",))}
    policy = world.policy()
    world.judge(policy, layouts=(layout(1, "id"),))
    with pytest.raises(DdlError, match="column b was added"):
        world.judge(policy, layouts=(layout(2, "id", "b"),))


def test_another_key_of_hashes_is_no_change_of_a_table() -> None:
    def hashing(secret: bytes, version: int, *labels: str) -> tuple[Definition, Table]:
        protections = Protections({"d.t": TablePolicies(columns={"a": Policy.HASH})}, HashKey(secret))
        declared = definition("id", "a")
        kind = f"enum({','.join(map(repr, labels))})"
        enum = replace(declared, columns=(declared.columns[0], replace(declared.columns[1], type=kind)))
        protection = protections.of("d", "t")
        assert protection is not None
        column = Column(name="a", type=ColumnType.ENUM, labels=labels)
        return declared_as(protections, "d.t", enum), replace(layout(version, "id"), columns=protection.shown([column]))

    world = World()
    world.tables["d.t"], world.layouts["d.t"] = hashing(b"one", 1, "x")
    world.judge(world.policy())
    world.tables["d.t"], again = hashing(b"other", 2, "x")
    world.judge(world.policy(), "CREATE INDEX i ON t (a)", "d.t")
    policy = world.policy()
    world.judge(policy, layouts=(again,))
    with pytest.raises(DdlError, match="column a changed"):
        world.judge(policy, layouts=(hashing(b"other", 3, "y")[1],))


def test_a_table_that_was_dropped_and_made_again_begins_anew() -> None:
    world = World()
    world.layouts = {"d.t": layout(1, "id", "a")}
    policy = world.policy()
    world.judge(policy)
    world.tables = {"d.t": definition("id", "z", filled=("z",))}
    world.judge(policy, "DROP TABLE t", "d.t", kind=DdlKind.DROPPED)
    assert "d.t" not in world.stored
    world.judge(policy, "CREATE TABLE t (...)", "d.t")
    world.judge(policy, layouts=(layout(2, "id", "z"),))
    assert world.stored["d.t"].since == 1


def test_truncate_keeps_the_declaration() -> None:
    world = World()
    policy = world.policy()
    world.judge(policy)
    world.judge(policy, "…", "d.t", kind=DdlKind.EMPTIED)
    assert "d.t" in world.stored


@pytest.mark.parametrize(
    ("statement", "tables", "moved", "kind"),
    [
        ("RENAME TABLE x TO t", ("d.x", "d.t"), ("d.x",), DdlKind.REPLACED),
        ("ALTER TABLE t DROP PARTITION p", ("d.t",), (), DdlKind.REPLACED),
        ("RENAME …", ("d.t", "other.t"), ("d.t",), DdlKind.OTHER),
        ("…", ("d.t", "other.t"), ("d.t",), DdlKind.OTHER),
    ],
)
def test_moved_rows_stop(statement: str, tables: tuple[str, ...], moved: tuple[str, ...], kind: DdlKind) -> None:
    world = World()
    policy = world.policy()
    world.judge(policy)
    with pytest.raises(DdlError, match="moved without row events"):
        world.judge(policy, statement, *tables, kind=kind, moved=moved)


@pytest.mark.parametrize("statement", ["ALTER TABLE t RENAME KEY a TO b", "ALTER TABLE t COMMENT 'to RENAME'"])
def test_the_text_of_a_statement_decides_nothing(statement: str) -> None:
    world = World()
    policy = world.policy()
    world.judge(policy)
    world.judge(policy, statement, "d.t")


def test_a_new_table_that_cannot_be_captured_is_refused_while_others_go_on() -> None:
    world = World()
    policy = world.policy()
    world.judge(policy)
    world.tables["d.n"] = definition("id")
    world.refused = {"d.n": ("has no primary key", "")}
    world.judge(policy, "CREATE TABLE n (id INT)", "d.n")
    assert not world.router.captures("d", "n")
    assert world.router.captures("d", "t")


def test_a_captured_table_that_can_be_captured_no_longer_stops() -> None:
    world = World()
    policy = world.policy()
    world.judge(policy)
    world.refused = {"d.t": ("has no primary key", "")}
    with pytest.raises(DdlError, match="has no primary key now"):
        world.judge(policy, "ALTER TABLE t DROP PRIMARY KEY", "d.t")


def test_a_captured_table_that_is_refused_at_the_start_stops_until_it_is_accepted_once() -> None:
    world = World()
    world.judge(world.policy())
    world.refused = {"d.t": ("has no primary key", "ALTER TABLE …")}
    for _ in range(2):
        with pytest.raises(DdlError, match=r"table d\.t .*has no primary key now") as caught:
            world.policy()
        assert "ALTER TABLE …" in caught.value.hint
    world.on_ddl = "ignore"
    world.judge(world.policy())
    world.on_ddl = "stop"
    policy = world.policy()
    assert not world.router.captures("d", "t")
    world.judge(policy, "ALTER TABLE t REMOVE PARTITIONING", "d.t", kind=DdlKind.REPLACED)
    world.refused = {}
    world.judge(policy, "ALTER TABLE t ADD PRIMARY KEY (id)", "d.t")
    assert world.router.captures("d", "t")
    world.refused = {"d.t": ("has no primary key", "")}
    with pytest.raises(DdlError, match="has no primary key now"):
        world.policy()


def test_a_table_that_never_was_captured_may_be_refused_at_every_start() -> None:
    world = World()
    world.refused = {"d.t": ("has no primary key", "")}
    world.judge(world.policy())
    world.judge(world.policy())
    assert world.stored == {}


def test_other_tables_statements_change_nothing() -> None:
    world = World()
    policy = world.policy()
    world.judge(policy)
    before = replace(world.stored["d.t"])
    world.judge(policy, "CREATE TABLE elsewhere.x (id INT)", "elsewhere.x")
    assert world.stored == {"d.t": before}
