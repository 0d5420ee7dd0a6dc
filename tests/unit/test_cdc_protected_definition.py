"""Declarations of protected tables: what `__schema` keeps of them, and what a changed policy means."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from cdc.definition import ColumnFacts, Definition, as_logged, changes
from cdc.protected_definition import after_policy_change, comparable, declared_as
from cdc.source.hash_key import HashKey
from cdc.source.protection import Policy, Protections, TablePolicies
from schemas.table import Column, ColumnType, Table

KEY = HashKey(b"0123456789abcdef0123456789abcdef")
OTHER_KEY = HashKey(b"another key, as long as the hash")


def column(name: str, kind: str = "varchar(20)") -> ColumnFacts:
    return ColumnFacts(name=name, type=kind, nullable=True, filled=False, charset="utf8mb4")


def protections(key: HashKey = KEY, **columns: str) -> Protections:
    return Protections({"d.t": TablePolicies(columns={c: Policy(p) for c, p in columns.items()})}, key)


def declared(*columns: ColumnFacts, key: HashKey = KEY, **policies: str) -> Definition:
    return declared_as(protections(key, **policies), "d.t", Definition(columns=columns, primary_key=("id",)))


PLAIN = (column("id", "int"), column("ssn"), column("kind", "enum('canary','it''s')"))


def test_what_is_hidden_is_not_kept() -> None:
    found = declared(*PLAIN, ssn="exclude", kind="hash")
    assert [one.name for one in found.columns] == ["id", "kind"]
    text = orjson.dumps(found.to_json()).decode()
    assert "ssn" not in text
    assert "canary" not in text
    assert Definition.from_json(orjson.loads(text)) == found
    assert declared(*PLAIN, kind="mask").columns[2].type == "masked"
    assert declared(*PLAIN, SSN="exclude", Kind="hash") == found


@pytest.mark.parametrize(
    ("policy", "before", "after", "fine"),
    [
        ("hash", "varchar(20)", "varchar(30)", True),
        ("hash", "int", "bigint", True),
        ("hash", "enum('a','b')", "enum('a','b','c')", True),
        ("hash", "enum('a','b')", "enum('b','a')", False),
        ("hash", "decimal(9,2)", "decimal(9,3)", False),
        ("mask", "int", "varchar(3)", True),
        ("exclude", "int", "varchar(3)", True),
    ],
)
def test_changes_of_protected_columns(policy: str, before: str, after: str, fine: bool) -> None:
    old, new = (declared(column("id"), column("ssn", kind), ssn=policy) for kind in (before, after))
    assert (changes(old, new) == []) is fine


def test_a_layout_and_a_declaration_speak_alike() -> None:
    columns = (Column(name="ssn", type=ColumnType.ENUM, labels=("a", "b"), charset="utf8mb4"),)
    protection = protections(ssn="hash").of("d", "t")
    assert protection is not None
    table = Table(db="d", name="t", version=1, columns=protection.shown(columns), primary_key=("id",), topic="x")
    stated = declared(column("ssn", "enum('a','b')"), ssn="hash")
    assert as_logged(table, stated).columns[0].type == stated.columns[0].type


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ({}, {"ssn": "hash"}, ("ssn",)),
        ({"ssn": "hash"}, {"ssn": "mask"}, ("ssn",)),
        ({"ssn": "hash"}, {}, ("ssn",)),
        ({}, {"ssn": "exclude"}, ("ssn",)),
        ({"ssn": "exclude"}, {}, ("ssn",)),
        ({"ssn": "exclude"}, {"ssn": "exclude", "kind": "exclude"}, ("kind",)),
        ({"ssn": "exclude"}, {"ssn": "exclude"}, ()),
    ],
)
def test_a_changed_policy_is_no_change_of_the_table(before: dict, after: dict, changed: tuple[str, ...]) -> None:
    judged, now = declared(*PLAIN, **before), declared(*PLAIN, **after)
    adapted, found = after_policy_change("d.t", judged, now)
    assert found == changed
    assert changes(adapted, now) == []
    assert {column.name for column in adapted.columns} == {column.name for column in now.columns}


def test_what_was_altered_meanwhile_is_still_judged() -> None:
    judged = declared(*PLAIN)
    altered = (*PLAIN[:2], column("kind", "int"), ColumnFacts(name="n", type="int", nullable=False, filled=True))
    now = declared(*altered, ssn="exclude")
    adapted, changed = after_policy_change("d.t", judged, now)
    assert changed == ("ssn",)
    assert {change.id for change in changes(adapted, now)} == {"+n", "~kind:int"}


def test_layouts_are_compared_in_what_both_show() -> None:
    columns = tuple(Column(name=name, type=ColumnType.INT) for name in ("id", "ssn", "a"))
    plain = Table(db="d", name="t", version=1, columns=columns, primary_key=("id",), topic="x")
    protection = protections(ssn="exclude", a="hash").of("d", "t")
    assert protection is not None
    now = Table(db="d", name="t", version=2, columns=protection.shown(columns), primary_key=("id",), topic="x")
    judged = declared(*PLAIN[:2], column("a", "int"), ssn="exclude", a="hash")
    shown, same = comparable("d.t", plain, now, judged)
    assert [column.name for column in shown.columns] == ["id", "a"]
    assert same == {"id"}


LABELLED = {"ssn": "hash", "kind": "hash"}


def layout(version: int, key: HashKey, *labels: str) -> Table:
    columns = (Column(name="ssn", type=ColumnType.VARCHAR), Column(name="kind", type=ColumnType.SET, labels=labels))
    shown = protections(key, **LABELLED).of("d", "t")
    assert shown is not None
    return Table(db="d", name="t", version=version, columns=shown.shown(columns), primary_key=("id",), topic="x")


def test_another_key_is_a_change_of_policy() -> None:
    judged, now = declared(*PLAIN, **LABELLED), declared(*PLAIN, key=OTHER_KEY, **LABELLED)
    assert changes(judged, now)  # without the fingerprint, the table
    adapted, found = after_policy_change("d.t", Definition.from_json(judged.to_json()), now, version=3)
    assert found == ("ssn", "kind")
    assert changes(adapted, now) == []
    assert (adapted.hash_key, adapted.rekeyed) == (now.hash_key, 3)
    assert after_policy_change("d.t", adapted, now, version=4) == (adapted, ())


def test_what_was_altered_meanwhile_is_still_judged_after_a_change_of_the_key() -> None:
    judged = declared(*PLAIN, **LABELLED)
    now = declared(PLAIN[0], column("ssn", "int"), PLAIN[2], key=OTHER_KEY, **LABELLED)
    adapted, _ = after_policy_change("d.t", judged, now)
    assert [change.id for change in changes(adapted, now)] == ["~ssn:hashed int"]


def test_a_declaration_from_before_fingerprints_is_the_same() -> None:
    now = declared(*PLAIN, **LABELLED)
    record = {name: value for name, value in now.to_json().items() if name not in ("hash_key", "rekeyed")}
    adapted, found = after_policy_change("d.t", Definition.from_json(record), now)
    assert found == ()
    assert adapted.hash_key == now.hash_key != ""


@pytest.mark.parametrize(("before", "after", "same"), [(2, 3, {"ssn"}), (1, 3, {"ssn"}), (3, 4, {"ssn", "kind"})])
def test_labels_hashed_by_two_keys_are_not_compared(before: int, after: int, same: set[str]) -> None:
    judged = replace(declared(*PLAIN, key=OTHER_KEY, **LABELLED), rekeyed=2)
    first = layout(before, KEY if before <= 2 else OTHER_KEY, "a")
    assert comparable("d.t", first, layout(after, OTHER_KEY, "a"), judged)[1] == same


def test_the_fingerprint_tells_keys_apart_and_is_no_key() -> None:
    assert KEY.fingerprint != OTHER_KEY.fingerprint
    assert len(KEY.fingerprint) == 16
    assert declared(*PLAIN, ssn="mask").hash_key == ""
