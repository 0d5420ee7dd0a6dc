"""The search against a model of both sides, compared with brute force; its requests are counted."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import search as pure
from auditor.search import EXACT_KEYS, KEY, Axis, Dirty, Limits, Range, Total, search
from schemas.document import fingerprint
from search_model import Doc, Model

texts = st.text(st.characters(codec="utf-8"), max_size=4)
limits = st.builds(Limits, leaf_keys=st.integers(1, 3), buckets=st.integers(1, 40), fan_out=st.integers(2, 9))


@given(
    keys=st.lists(texts, max_size=80, unique=True),
    missing=st.sets(st.integers(0, 79)),
    stale=st.sets(st.integers(0, 79)),
    orphans=st.dictionaries(texts, st.integers(0, 400), max_size=20),
    limits=limits,
    listed=st.sampled_from([1, 64]),
)
def test_any_set_of_faults_is_found(
    keys: list[str], missing: set[int], stale: set[int], orphans: dict[str, int], limits: Limits, listed: int
) -> None:
    # Every fp is a power of two of its own: no two sets have the same sum by accident.
    wanted = [Doc(key, 5 * number, 1 << number) for number, key in enumerate(keys)]
    docs = [doc for number, doc in enumerate(wanted) if number not in missing | stale]
    docs += [Doc(wanted[n].key, 5 * n - 3, 1 << (100 + n)) for n in stale - missing if n < len(wanted)]
    docs += [Doc(key, at, 1 << (200 + n)) for n, (key, at) in enumerate(orphans.items()) if key not in keys]
    model = Model(wanted, docs)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pure, "_LEAVES_LISTED", listed)
        assert model.differing(limits) == model.brute()


Harm = Callable[[random.Random, list[Doc]], list[Doc]]


def scattered(rng: random.Random, docs: list[Doc]) -> list[Doc]:
    share = rng.choice([0.0005, 0.01, 0.3])
    return [doc for doc in docs if rng.random() > share]


def bulk(rng: random.Random, docs: list[Doc]) -> list[Doc]:
    start = rng.randrange(len(docs) + 1)
    return docs[:start] + docs[start + rng.randrange(len(docs) + 1) :]


def keys_gone(rng: random.Random, docs: list[Doc]) -> list[Doc]:
    low, high = sorted(str(rng.randrange(10**6)) for _ in range(2))
    return [doc for doc in docs if not low <= doc.key < high]


def moved(doc: Doc) -> Doc:
    return Doc(doc.key, doc.offset // 2, fingerprint(doc.key, 0, doc.offset // 2 + 1))


def stale(rng: random.Random, docs: list[Doc]) -> list[Doc]:
    share = rng.choice([0.001, 0.05, 1])
    return [doc if rng.random() > share else moved(doc) for doc in docs]


def orphaned(rng: random.Random, docs: list[Doc]) -> list[Doc]:
    return [*docs, *(Doc(f"{rng.randrange(10**6)}x", rng.randrange(10**6), rng.randrange(1 << 26)) for _ in range(9))]


def tampered(rng: random.Random, docs: list[Doc]) -> list[Doc]:
    return [doc if rng.random() > 0.002 else doc._replace(fp=rng.randrange(1 << 26)) for doc in docs]


HARMS: list[Harm] = [scattered, bulk, keys_gone, stale, orphaned, tampered]


@pytest.mark.parametrize("seed", range(300))
def test_seeded_faults_with_real_fps(seed: int) -> None:
    rng = random.Random(seed)
    count = rng.choice([0, 1, 64, 65, 3000])
    keys = list({str(rng.randrange(10**6)): None for _ in range(count)})
    places = sorted(rng.sample(range(10**6), len(keys)))
    wanted = [Doc(key, at, fingerprint(key, 0, at)) for key, at in zip(keys, places, strict=True)]
    docs = wanted
    for harm in rng.sample(HARMS, rng.choice([0, 1, 1, 2, 3])):
        docs = harm(rng, docs)
    model = Model(wanted, docs)
    limits = Limits(
        leaf_keys=rng.choice([1, 8, 64]), buckets=rng.choice([16, 200, 10_000]), fan_out=rng.choice([4, 64])
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pure, "_LEAVES_LISTED", rng.choice([1, 64]))
        assert model.differing(limits) == model.brute()


def test_a_pair_that_cancels_out_in_counts_is_found() -> None:
    wanted = [Doc(f"{n:04}", n, fingerprint(f"{n:04}", 0, n)) for n in range(1000)]
    docs = [*(doc for doc in wanted if doc.key != "0500"), Doc("0501x", 502, fingerprint("0501x", 0, 502))]
    assert Model(wanted, docs).differing(Limits()) == {"0500", "0501x"}


N = 200_000


@pytest.fixture(scope="module")
def many() -> list[Doc]:
    """In the order of their offsets; keys lie along them as chance has it."""
    numbers = list(range(N))
    random.Random(3).shuffle(numbers)
    return [
        Doc(f"{number:06}", offset, fingerprint(f"{number:06}", 0, offset)) for offset, number in enumerate(numbers)
    ]


def test_clean_is_one_request_and_few_missing_are_few(many: list[Doc]) -> None:
    clean = Model(many, many)
    assert (clean.differing(Limits()), clean.requests) == (set(), 1)
    one = Model(many, [doc for doc in many if doc.offset != 123_456])
    assert (len(one.differing(Limits())), one.requests) == (1, 2)
    lost = Model(many, [doc for doc in many if not 50_000 <= doc.offset < 52_000])
    assert len(lost.differing(Limits())) == 2000
    assert lost.requests <= 3
    gone = set(random.Random(5).sample(range(N), 1000))
    some = Model(many, [doc for doc in many if doc.offset not in gone])
    assert len(some.differing(Limits())) == 1000
    assert some.requests <= 5


def test_what_lies_together_by_key_is_searched_by_key(many: list[Doc]) -> None:
    model = Model(many, [doc for doc in many if not "100000" <= doc.key < "102000"])
    assert len(model.differing(Limits())) == 2000
    assert model.rounds[-1][0] == KEY
    assert model.requests <= 6


def test_where_much_differs_the_documents_are_read(many: list[Doc]) -> None:
    rng = random.Random(1)
    model = Model(many, [doc for doc in many if rng.random() > 0.2])
    leaves = list(search(model, [model.root]))
    assert all(leaf.scan for leaf in leaves if not leaf.empty)
    assert len(model.rounds) == 2
    assert max(leaf.range.size for leaf in leaves) <= 10_000


def test_no_range_is_larger_than_a_sum_is_exact() -> None:
    seen: list[Range] = []

    class Huge:
        def expected(self, _axis: Axis, ranges: Sequence[Range]) -> list[Total]:
            seen.extend(ranges)
            return [Total(part.size, 0) for part in ranges]

        def indexed(self, _axis: Axis, ranges: Sequence[Range]) -> list[Total]:
            return [Total(part.size, 0) for part in ranges]

    assert list(search(Huge(), [Range(0, 5, 5 + 3 * EXACT_KEYS + 1)])) == []
    assert [part.size for part in seen] == [EXACT_KEYS] * 3 + [1]


def test_a_partition_without_keys_is_asked_too() -> None:
    model = Model([], [Doc("ghost", 1, 1)])
    assert list(search(model, [model.root])) == [Dirty(Range(0, 0, 0), empty=False)]
