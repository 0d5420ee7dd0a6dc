"""The expected side: last operations, byte order, prefix sums, barriers, memory."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

import pytest

from auditor.axis import Axis, Bounds, Place
from auditor.columns import Columns
from auditor.expected import Expected
from auditor.op import Op
from auditor.search import Range, Total
from auditor.store import Store
from auditor.suspects import Suspects
from schemas.document import fingerprint
from schemas.key import document_id

END = 1 << 40


@pytest.fixture
def store() -> Iterator[Store]:
    with Store(64 << 20) as store:
        yield store


def sealed(store: Store, ops: list[Op], partitions: int = 2, settled: dict[int, int] | None = None) -> Expected:
    expected = Expected(store, range(partitions))
    expected.add(Columns.of(ops))
    expected.seal(dict.fromkeys(range(partitions), END) | (settled or {}))
    return expected


def op(key: str, offset: int, kind: str = "c", *, partition: int = 0, seq: int = 0, below: int = 0) -> Op:
    return Op(key, partition, offset, seq or (offset + 1) * 1024, kind, 7, below)


def test_what_is_stored_is_what_comes_back(store: Store) -> None:
    rows = [
        (b"", None, 0, 1 << 62, "d"),
        (bytes(range(256)), b"\x00", 2**31 - 1, 2**63 - 1, "t"),
        ("\U00010000\uffee'\"\\\n".encode(), b"[null]", -1, -(2**63), "\x00é'\""),
    ]
    types = ("BLOB", "BLOB", "INTEGER", "BIGINT", "VARCHAR")
    store.run("CREATE TABLE kept (a BLOB, b BLOB, c INTEGER, d BIGINT, e VARCHAR)")
    store.insert("kept", types, list(zip(*rows, strict=True)))
    store.insert("kept", types, [])
    assert store.run("SELECT * FROM kept ORDER BY rowid") == rows


def test_the_last_operation_counts(store: Store) -> None:
    ops = [op("a", 0), op("b", 1), op("a", 2, "u"), op("b", 3, "d"), op("b", 4, "d", seq=4 * 1024), op("c", 5, "d")]
    expected = Expected(store, range(2))
    expected.add(Columns.of([*ops, op("c", 6)]))
    read_to = expected.last_read()
    expected.seal({0: 7, 1: 0})
    assert expected.keys == 2
    assert expected.deleted == {0: 1}
    assert read_to == {0: 6}
    [root, empty] = expected.roots
    for axis in (expected.by_offset, expected.by_key):
        assert axis.places([root]) == {
            (0, "a"): Place(2, fingerprint("a", 0, 2)),
            (0, "c"): Place(6, fingerprint("c", 0, 6)),
        }
        assert axis.totals([root, empty]) == [
            Total(2, fingerprint("a", 0, 2) + fingerprint("c", 0, 6)), Total(0, 0)
        ]  # fmt: skip
    assert list(expected.gone(10)) == [["b"]]


def test_a_key_in_two_partitions_counts_where_its_seq_is_higher(store: Store) -> None:
    expected = sealed(store, [op("a", 0, seq=9000), op("a", 8, partition=1, seq=5000), op("b", 9, "d", seq=100),
                              op("b", 1, partition=1, seq=99)])  # fmt: skip
    assert [root.size for root in expected.roots] == [1, 0]
    assert expected.deleted == {0: 1}


def test_order_is_that_of_bytes(store: Store) -> None:
    keys = ["", " ", "A", "B", "a", "a ", "aa", "b", "10", "9", "\x00", "é", "\ue000", "\uffee", "\U00010000", "😀"]
    random.Random(1).shuffle(keys)
    expected = sealed(store, [op(key, number) for number, key in enumerate(keys)], 1)
    parts = [Range(0, rank, rank + 1) for rank in range(len(keys))]
    bounds = expected.by_key.bounds(parts)
    in_order = sorted(keys, key=str.encode)
    assert [bound.low for bound in bounds] == [None, *in_order[1:]]
    assert [bound.high for bound in bounds] == [*in_order[1:], None]
    assert expected.by_key.bounds([Range(0, 0, len(keys))]) == [Bounds(0, None, None)]


def test_barriers_of_the_keys_own_partition(store: Store) -> None:
    ops = [op("a", 0, seq=100), op("b", 1, seq=300), op("", 2, "t", seq=200, below=200),
           op("c", 0, partition=1, seq=100), op("", 3, "t", seq=400, below=150)]  # fmt: skip
    expected = sealed(store, ops)
    assert set(expected.by_key.places(expected.roots)) == {(0, "b"), (1, "c")}
    suspects = Suspects(store)
    suspects.add(["a"])
    assert suspects.seal() == 1
    [[suspect]] = suspects.chunks(5)
    assert suspect.last == Op("a", 0, 2, 200, "t", 7)


@pytest.mark.parametrize("along", ["by_offset", "by_key"])
def test_suspects_are_each_once_and_know_their_last_operation(store: Store, along: str) -> None:
    long = "x" * 600
    expected = sealed(store, [op("a", 0), op(long, 1), op("b", 2, "d")])
    axis: Axis = getattr(expected, along)
    suspects = Suspects(store)
    suspects.add_ranges(axis, expected.roots[:1])
    suspects.add(["a", "b", "stranger", document_id(long)])
    assert suspects.seal() == 4
    found = {suspect.id: suspect.last for chunk in suspects.chunks(3) for suspect in chunk}
    assert {id_: last.key if last else None for id_, last in found.items()} == {
        "a": "a", "b": "b", "stranger": None, document_id(long): long
    }  # fmt: skip


def test_totals_of_random_ranges(store: Store) -> None:
    rng = random.Random(5)
    ops = [op(str(rng.randrange(4000)), number, partition=rng.randrange(2)) for number in range(5000)]
    expected = sealed(store, ops)
    last = {}
    for one in ops:
        last[one.key] = one
    for root in expected.roots:
        mine = [one for one in last.values() if one.partition == root.partition]
        assert root.size == len(mine)
        cuts = sorted(rng.sample(range(len(mine) + 1), 20))
        parts = [Range(root.partition, root.low + a, root.low + b) for a, b in pairwise(cuts)]
        for axis in (expected.by_offset, expected.by_key):
            mine.sort(key=lambda o: o.offset if axis.name == "offset" else o.key.encode())
            fps = [fingerprint(one.key, one.partition, one.offset) for one in mine]
            assert [total.fp for total in axis.totals(parts)] == [sum(fps[a:b]) for a, b in pairwise(cuts)]
            [bounds] = axis.bounds(parts[5:6])
            first = mine[cuts[5]]
            assert bounds.low == (first.offset if axis.name == "offset" else first.key)
            assert set(axis.places(parts[5:8:2])) == {
                (one.partition, one.key) for cut in (5, 7) for one in mine[cuts[cut] : cuts[cut + 1]]
            }


def test_nothing_read_is_nothing_expected(store: Store) -> None:
    expected = sealed(store, [])
    assert expected.by_offset.totals(expected.roots) == [Total(0, 0)] * 2
    assert expected.by_key.bounds(expected.roots) == [Bounds(0, None, None), Bounds(1, None, None)]
    assert list(expected.gone(5)) == []
    assert expected.from_offsets({0: 5}) == 0


def test_what_is_not_settled_is_left_out_and_its_last_settled_operation_known(store: Store) -> None:
    ops = [op("a", 0), op("b", 1), op("c", 2), op("gone", 3), op("gone", 4, "d"), op("d", 5, partition=1, seq=9)]
    later = [op("a", 10, "u"), op("new", 11), op("gone", 12), op("b", 7, "u"), op("", 13, "t", seq=50, below=40)]
    expected = sealed(store, [*ops, *later], settled={0: 10})
    assert expected.unsettled_keys() == ["a", "gone", "new"]
    assert set(expected.by_offset.places(expected.roots)) == {(0, "b"), (0, "c"), (1, "d")}
    assert expected.barriers == []  # it is not settled either
    assert list(expected.gone(5)) == []
    suspects = Suspects(store)
    suspects.add(["a", "new", "gone"])
    suspects.seal()
    [found] = suspects.chunks(5)
    lasts = {suspect.id: suspect.last for suspect in found}
    assert {id_: last and (last.offset, last.op) for id_, last in lasts.items()} == {
        "a": (0, "c"), "gone": (4, "d"), "new": None
    }  # fmt: skip


def test_too_many_unsettled_keys_are_expected_as_they_were(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.expected._LEFT_OUT_BYTES", 1)
    expected = sealed(store, [op("a", 0), op("b", 1), op("a", 5, "u"), op("b", 6, "d")], settled={0: 5})
    assert (expected.unsettled_keys(), expected.keys) == ([], 2)
    assert expected.by_offset.places(expected.roots)[0, "a"].offset == 0


@pytest.mark.parametrize("key", ["", "a", "sha256", "sha256:", "sha256:x", "sha257", "x" * 512, "x" * 513, "é" * 257])
def test_document_ids_are_those_of_the_sink(store: Store, key: str) -> None:
    assert store.run("SELECT document_id($1::BLOB)", [key.encode()]) == [(document_id(key).encode(),)]
