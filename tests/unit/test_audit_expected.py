"""The expected side: last operations, byte order, prefix sums, barriers, memory."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

import pytest

from auditor.expected import Bounds, Expected, Place
from auditor.op import Op
from auditor.search import Range, Total
from auditor.store import Store
from auditor.suspects import Suspects
from schemas.document import fingerprint
from schemas.key import document_id


@pytest.fixture
def store() -> Iterator[Store]:
    with Store(64 << 20) as store:
        yield store


def sealed(store: Store, ops: list[Op], partitions: int = 2) -> Expected:
    expected = Expected(store, range(partitions))
    expected.add(ops)
    expected.seal()
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
    expected = sealed(store, [*ops, op("c", 6)])
    assert expected.keys == 2
    assert expected.deleted == {0: 1}
    assert expected.last_read == {0: 6}
    [root, empty] = expected.roots
    assert expected.places([root]) == {
        (0, "a"): Place(2, fingerprint("a", 0, 2)),
        (0, "c"): Place(6, fingerprint("c", 0, 6)),
    }
    assert expected.totals([root, empty]) == [
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
    bounds = expected.bounds(parts)
    in_order = sorted(keys, key=str.encode)
    assert [bound.low for bound in bounds] == [None, *in_order[1:]]
    assert [bound.high for bound in bounds] == [*in_order[1:], None]
    assert expected.bounds([Range(0, 0, len(keys))]) == [Bounds(0, None, None)]


def test_barriers_of_the_keys_own_partition(store: Store) -> None:
    ops = [op("a", 0, seq=100), op("b", 1, seq=300), op("", 2, "t", seq=200, below=200),
           op("c", 0, partition=1, seq=100), op("", 3, "t", seq=400, below=150)]  # fmt: skip
    expected = sealed(store, ops)
    assert set(expected.places(expected.roots)) == {(0, "b"), (1, "c")}
    suspects = Suspects(store)
    suspects.add(["a"])
    assert suspects.seal() == 1
    [[suspect]] = suspects.chunks(5)
    assert suspect.last == Op("a", 0, 2, 200, "t", 7)


def test_suspects_are_each_once_and_know_their_last_operation(store: Store) -> None:
    long = "x" * 600
    expected = sealed(store, [op("a", 0), op(long, 1), op("b", 2, "d")])
    suspects = Suspects(store)
    suspects.add_range(expected.roots[0])
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
        mine = sorted((one for one in last.values() if one.partition == root.partition), key=lambda o: o.key.encode())
        assert root.size == len(mine)
        cuts = sorted(rng.sample(range(len(mine) + 1), 20))
        parts = [Range(root.partition, root.low + a, root.low + b) for a, b in pairwise(cuts)]
        sums = [sum(fingerprint(one.key, one.partition, one.offset) for one in mine[a:b]) for a, b in pairwise(cuts)]
        assert [total.fp for total in expected.totals(parts)] == sums


def test_keys_beyond_the_memory_limit_are_on_disk() -> None:
    with Store(32 << 20) as store:
        expected = Expected(store, [0])
        for start in range(0, 20_000, 2000):
            expected.add([op(f"{number:08}" + "k" * 1500, number) for number in range(start, start + 2000)])
        expected.seal()
        assert expected.keys == 20_000
        [bounds] = expected.bounds([Range(0, 10_000, 10_001)])
        assert bounds.low == "00010000" + "k" * 1500


def test_nothing_read_is_nothing_expected(store: Store) -> None:
    expected = sealed(store, [])
    assert expected.totals(expected.roots) == [Total(0, 0)] * 2
    assert expected.bounds(expected.roots) == [Bounds(0, None, None), Bounds(1, None, None)]
    assert list(expected.gone(5)) == []
    assert expected.from_offsets({0: 5}) == 0
