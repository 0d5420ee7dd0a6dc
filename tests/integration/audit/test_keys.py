"""Keys of every kind are told apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from auditing import World, found
from schemas.key import document_id, key_text

pytestmark = pytest.mark.stack

MakeWorld = Callable[..., World]


ODD_KEYS = [
    "", " ", "a", "A", "a ", "a/b", "a,b", '["a","b"]', "sha256:abc", "é", "\uffee", "\U0001f600", "\U00010000",
    "\ue000", "x" * 512, "x" * 513, "y" * 3000, "\u00e9" * 300, "null", "0", "00", "\t", '"', "\\", "*", "a*", "\x00",
    "-", "_id", "OR 1=1",
]  # fmt: skip


def test_odd_keys_right_and_wrong(make_world: MakeWorld) -> None:
    world = make_world(audit={"leaf_keys": 1})
    world.put(*ODD_KEYS)
    world.sync()
    assert found(world.audit()) == {}
    chosen = ODD_KEYS[::2]
    world.remove(*(document_id(key) for key in chosen))
    report = world.audit()
    assert found(report) == {"missing": sorted(document_id(key) for key in chosen)}
    assert {finding.key for finding in report.findings()} == set(chosen)
    rest = ODD_KEYS[1::2]
    world.drop(*rest)
    world.sync(skip=lambda row: row.op == "d")
    world.put(*chosen)
    world.sync()
    assert found(world.audit()) == {"orphan": sorted(document_id(key) for key in rest)}


def test_composite_keys(make_world: MakeWorld) -> None:
    world = make_world(key=("a", "b"), audit={"leaf_keys": 1})
    keys = [("1", "2"), ("1,2", ""), ("", "1,2"), ('"', '","'), ("é", "\U0001f600"), ("x" * 300, "y" * 300)]
    world.put(*keys)
    world.sync()
    assert found(world.audit()) == {}
    wrong = [row.id for row in world.rows[::2]]
    world.remove(*wrong)
    assert found(world.audit()) == {"missing": sorted(wrong)}
    assert key_text(b'{"a":"1,2","b":""}') in {row.text for row in world.rows}
