"""Only what came more than once is folded: the outcome is that of folding everything."""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import pytest

from auditor import repeated
from auditor.columns import Columns, Packed
from auditor.expected import Expected
from auditor.op import BARRIER, Op
from auditor.store import Store
from schemas.extension import MISSING

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"without the extension everything is folded: {MISSING}")
_SEEDS = 40


def packed(ops: Sequence[Op]) -> Columns:
    """The same rows, as they come from the native reader."""
    made = Columns.of(ops)
    if not made.keys:
        return made
    ends = array("i", accumulate(map(len, made.keys), initial=0)).tobytes()
    numbers = [array(code, column).tobytes() for code, column in zip("iqqBqi", made.table[1:], strict=True)]
    some = Packed(len(made.keys), (ends, b"".join(made.keys), *numbers))
    return Columns.empty()._replace(barriers=made.barriers, packed=[some])


def outcome(batches: Sequence[Columns], settled: dict[int, int], most_rows: int) -> tuple[Any, ...]:
    with Store(32 << 20) as store:
        expected = Expected(store, [0, 1], most_rows=most_rows)
        for batch in batches:
            expected.add(batch)
            expected.last_read()  # what is pending is stored
        expected.seal(settled)
        last = store.run('SELECT key, partition, "offset", seq, op, ts_ms, fp FROM last ORDER BY key')
        return last, expected.unsettled_keys(), expected.deleted, expected.keys, expected.newest_ts_ms


def _drawn(rng: random.Random) -> tuple[list[list[Op]], dict[int, int]]:
    """Batches of operations of some keys, few or many, one in two partitions now and then."""
    count, keys, barrier = rng.randint(1, 80), rng.choice([3, 40, 2000]), rng.random() < 0.2
    ops = []
    for number in range(count):
        key, kind = f"k{rng.randrange(keys)}", rng.choice("cuuudr")
        place = rng.randrange(2) if rng.random() < 0.05 else len(key) % 2
        ops.append(Op(key, place, number, 1024 * (number + 1), kind, 5000 + number))
    if barrier:
        ops.insert(rng.randrange(count), Op("", 1, count + 5, 1024 * count, BARRIER, 9, 1024 * rng.randrange(count)))
    settled = {0: rng.choice([count, count + 9]), 1: rng.choice([count // 2, count + 9])}
    cuts = sorted(rng.sample(range(count + 1), min(3, count)))
    return [ops[low:high] for low, high in zip([0, *cuts], [*cuts, len(ops)], strict=True)], settled


@pytest.mark.parametrize("seed", range(_SEEDS))
def test_it_is_as_if_everything_were_folded(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(repeated, "_FEW", rng.choice([0, 10_000]))
    batches, settled = _drawn(rng)
    some = [packed(ops) if rng.random() < 0.8 else Columns.of(ops) for ops in batches]
    wanted = outcome([Columns.of(ops) for ops in batches], settled, most_rows=0)
    assert outcome(some, settled, most_rows=rng.choice([1, 100])) == wanted


def test_a_key_that_comes_again_is_told_and_others_are_not() -> None:
    ops = [Op(f"k{number}", 0, number, number + 1, "c", 7) for number in range(2000)]
    with Store(32 << 20) as store:
        told = repeated.Repeated(store, 2000)
        told.note(packed(ops))
        few = store.run("SELECT key FROM repeated")
        assert told.told
        assert len(few) < 40
        told.note(packed(ops[7:9]))
        assert {row[0] for row in store.run("SELECT key FROM repeated")} >= {b"k7", b"k8"}
        told.note(Columns.of(ops[11:12]))
        assert (b"k11",) in store.run("SELECT key FROM repeated")


def test_of_many_keys_that_come_again_it_is_not_remembered_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated, "_FEW", 0)
    ops = [Op(f"k{number % 500}", 0, number, number + 1, "c", 7) for number in range(1000)]
    with Store(32 << 20) as store:
        told = repeated.Repeated(store, 1000)
        told.note(packed(ops))
        assert not told.told
        told.note(packed(ops))
        assert store.run("SELECT key FROM repeated") == []


def test_without_the_extension_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated, "_SEEN", None)
    with Store(32 << 20) as store:
        assert not repeated.Repeated(store, 1000).told
