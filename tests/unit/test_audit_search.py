"""The search against a model of both sides, compared with brute force; its requests are counted."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.search import EXACT_KEYS, Dirty, Range, Total, search
from schemas.document import fingerprint


class Model:
    """Keys in rank order with the fp expected; documents of any key with the fp found."""

    def __init__(self, expected: dict[str, int], indexed: list[tuple[str, int]]) -> None:
        self.keys = sorted(expected, key=str.encode)
        self.fps = expected
        self.docs = sorted(indexed, key=lambda doc: doc[0].encode())
        self.rounds = 0
        self.asked = 0

    @property
    def root(self) -> Range:
        return Range(0, 0, len(self.keys))

    def expected(self, ranges: Sequence[Range]) -> list[Total]:
        return [Total(part.size, sum(self.fps[key] for key in self.keys[part.low : part.high])) for part in ranges]

    def indexed(self, ranges: Sequence[Range]) -> list[Total]:
        self.rounds += 1
        self.asked += len(ranges)
        return [Total(len(docs), sum(fp for _, fp in docs)) for docs in map(self.inside, ranges)]

    def inside(self, part: Range) -> list[tuple[str, int]]:
        names = [doc[0].encode() for doc in self.docs]
        low = 0 if part.low == 0 else bisect_left(names, self.keys[part.low].encode())
        high = len(names) if part.high == len(self.keys) else bisect_left(names, self.keys[part.high].encode())
        return self.docs[low:high]

    def differing(self, leaf_keys: int) -> set[str]:
        """What listing the dirty ranges shows."""
        found: set[str] = set()
        for dirty in search(self, [self.root], leaf_keys=leaf_keys):
            keys = self.keys[dirty.range.low : dirty.range.high]
            docs = self.inside(dirty.range)
            assert dirty.empty == (not docs)
            assert dirty.empty or len(keys) <= leaf_keys
            wrong = {(key, self.fps[key]) for key in keys} ^ set(docs)
            assert wrong, "a range was called dirty for nothing"
            found |= {key for key, _ in wrong}
        return found

    def brute(self) -> set[str]:
        return {key for key, _ in set(self.fps.items()) ^ set(self.docs)}


texts = st.text(st.characters(codec="utf-8"), max_size=4)


@given(
    expected=st.dictionaries(texts, st.integers(0, 5), max_size=60),
    missing=st.sets(st.integers(0, 59)),
    stale=st.sets(st.integers(0, 59)),
    orphans=st.dictionaries(texts, st.integers(10, 15), max_size=20),
    leaf_keys=st.integers(1, 9),
)
def test_any_set_of_faults_is_found(
    expected: dict[str, int], missing: set[int], stale: set[int], orphans: dict[str, int], leaf_keys: int
) -> None:
    # Every fp is a distinct power of two times something: no two sets have the same sum by accident.
    fps = {key: (offset + 1) << (7 * number) for number, (key, offset) in enumerate(expected.items())}
    docs = []
    for number, key in enumerate(expected):
        if number in missing:
            continue
        docs.append((key, fps[key] + 63 * (1 << 7 * number) if number in stale else fps[key]))
    docs += [(key, fp << 1000) for key, fp in orphans.items() if key not in expected]
    model = Model(fps, docs)
    assert model.differing(leaf_keys) == model.brute()


@pytest.mark.parametrize("seed", range(100))
def test_seeded_faults_with_real_fps(seed: int) -> None:
    rng = random.Random(seed)
    keys = [str(rng.randrange(10**6)) for _ in range(rng.choice([0, 1, 64, 65, 3000]))]
    fps = {key: fingerprint(key, 0, offset) for offset, key in enumerate(keys)}
    docs = [(key, fp) for key, fp in fps.items() if rng.random() > 0.002]
    docs = [(key, fp if rng.random() > 0.002 else fingerprint(key, 0, 10**7)) for key, fp in docs]
    docs += [(str(rng.randrange(10**6)) + "x", rng.randrange(1 << 26)) for _ in range(rng.randrange(3))]
    model = Model(fps, docs)
    assert model.differing(64) == model.brute()


def test_a_pair_that_cancels_out_in_counts_is_found() -> None:
    fps = {f"{number:04}": fingerprint(f"{number:04}", 0, number) for number in range(1000)}
    docs = [(key, fp) for key, fp in fps.items() if key != "0500"]
    docs.append(("0501x", fingerprint("0501x", 0, 5000)))
    assert Model(fps, docs).differing(64) == {"0500", "0501x"}


def test_clean_is_one_round_and_one_missing_in_a_million_is_few() -> None:
    class Million:
        """Every fp is 1; key 123,456 is not there."""

        def __init__(self, hole: range) -> None:
            self.hole, self.rounds, self.asked = hole, 0, 0

        def expected(self, ranges: Sequence[Range]) -> list[Total]:
            return [Total(part.size, part.size) for part in ranges]

        def indexed(self, ranges: Sequence[Range]) -> list[Total]:
            self.rounds += 1
            self.asked += len(ranges)
            sizes = [
                part.size - max(0, min(part.high, self.hole.stop) - max(part.low, self.hole.start)) for part in ranges
            ]
            return [Total(size, size) for size in sizes]

    clean = Million(range(0))
    assert list(search(clean, [Range(0, 0, 10**6)])) == []
    assert clean.rounds == 1
    one = Million(range(123456, 123457))
    [dirty] = search(one, [Range(0, 0, 10**6)])
    assert 123456 in range(dirty.range.low, dirty.range.high)
    assert dirty.range.size <= 64
    assert (one.rounds, one.asked <= 1 + 64 + 64 + 64) == (4, True)
    bulk = Million(range(500_000, 502_000))
    found = list(search(bulk, [Range(0, 0, 10**6)]))
    assert sum(dirty.range.size for dirty in found if dirty.empty) >= 1500
    assert bulk.rounds <= 4


def test_no_range_is_larger_than_a_sum_is_exact() -> None:
    seen: list[Range] = []

    class Huge:
        def expected(self, ranges: Sequence[Range]) -> list[Total]:
            seen.extend(ranges)
            return [Total(part.size, 0) for part in ranges]

        def indexed(self, ranges: Sequence[Range]) -> list[Total]:
            return [Total(part.size, 0) for part in ranges]

    assert list(search(Huge(), [Range(0, 5, 5 + 3 * EXACT_KEYS + 1)])) == []
    assert [part.size for part in seen] == [EXACT_KEYS] * 3 + [1]


def test_a_partition_without_keys_is_asked_too() -> None:
    model = Model({}, [("ghost", 1)])
    assert list(search(model, [model.root])) == [Dirty(Range(0, 0, 0), empty=False)]
