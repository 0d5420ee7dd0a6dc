"""The model that the search is tested with counts and lists what Elasticsearch does, range by range."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest

from auditing import World, ids
from auditor.axis import Axis
from auditor.elastic_side import ElasticSide
from auditor.expected import Expected
from auditor.index import Index
from auditor.requests import Requests
from auditor.run_context import Context
from auditor.search import KEY, OFFSET, Range, Total
from auditor.store import Store
from auditor.topic import Topic
from auditor.window import windows
from schemas.document import fingerprint
from schemas.errors import UnsafeError
from search_model import Doc, Model

pytestmark = pytest.mark.stack

ODD = ["", " ", "A", "a", "a ", "aa", "Z", "z\x00", "é", "\ue000", "\uffee", "\U00010000", "😀", "sha256:x", "k" * 600]


class Sides:
    """Both sides of a world as the audit sees them."""

    def __init__(self, world: World, store: Store, topic: Topic) -> None:
        context = Context(settings=world.settings)
        self.windows = parts = windows(topic)
        self.expected = Expected(store, parts.partitions)
        for columns in topic.columns(parts.parts):
            self.expected.add(columns)
        self.expected.seal(parts.highs)
        index = Index(alias=world.alias, name=world.index, ours=True)
        self.side = ElasticSide(
            world.es, Requests(context), index, world.topic_id, parts, ends=lambda: topic.ends(parts.partitions)
        )

    def axis(self, name: str) -> Axis:
        return self.expected.by_offset if name == OFFSET else self.expected.by_key


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """Odd keys and plain ones; documents lost, of another place, of no key that is expected."""
    world = make_world(partitions=2)
    world.put(*ODD, *ids(120))
    world.put(*ids(40, 20), text="again")
    world.drop("7", "A")
    world.sync(skip=lambda row: row.text in ("21", "22", "a", "7") and row.seq > world.rows[30].seq)
    world.remove("3", "90", "91", "92", "😀")
    row = world.rows[20]
    for id_ in ("ghost", "\U00010000z"):
        source: dict[str, Any] = row.source(world.topic_id)
        source["_cdc"] |= {"key": id_, "fp": fingerprint(id_, row.partition, row.offset)}
        world.overwrite(id_, source)
    return world


@pytest.fixture
def sides(world: World) -> Iterator[Sides]:
    with Store(64 << 20) as store, Topic(Context(settings=world.settings), world.topic) as topic:
        made = Sides(world, store, topic)
        with made.side:
            yield made


def models(world: World, sides: Sides) -> list[Model]:
    """From what the documents say, by a plain search."""
    world.es.indices.refresh(index=world.index)
    hits = world.es.search(index=world.index, size=1000, source=["_cdc"])["hits"]["hits"]
    docs: dict[int, list[Doc]] = {0: [], 1: []}
    for hit in hits:
        block = hit["_source"]["_cdc"]
        docs[block["partition"]].append(Doc(block["key"], block["offset"], block["fp"]))
    last = {row.text: row for row in world.rows}
    wanted: dict[int, list[Doc]] = {0: [], 1: []}
    for row in last.values():
        if row.after is not None:
            fp = fingerprint(row.text, row.partition, row.offset)
            wanted[row.partition].append(Doc(row.text, row.offset, fp))
    return [Model(wanted[part], docs[part], partition=part, first=part * len(wanted[0])) for part in (0, 1)]


def cuts(rng: random.Random, root: Range) -> list[Range]:
    """A partition cut at random, as the search would ask: in order, without gaps or with some."""
    at = sorted({root.low, root.high, *rng.sample(range(root.low, root.high), 12)})
    parts = [Range(root.partition, low, high) for low, high in pairwise(at)]
    return [part for part in parts if rng.random() < 0.8] or parts


def asked(sides: Sides, name: str, ranges: Sequence[Range]) -> list[Total]:
    return sides.side.totals(sides.axis(name).bounds(ranges), [part.size for part in ranges])


@pytest.mark.parametrize("clauses", [256, 3])  # with few, ranges are asked for together with the gaps between them
@pytest.mark.parametrize("name", [OFFSET, KEY])
def test_counts_sums_and_lists(
    world: World, sides: Sides, monkeypatch: pytest.MonkeyPatch, name: Any, clauses: int
) -> None:
    monkeypatch.setattr("auditor.elastic_side._CLAUSES", clauses)
    both = models(world, sides)
    assert sides.expected.roots == [model.root for model in both]
    roots = [model.root for model in both]
    assert asked(sides, name, roots) == [model.indexed(name, [model.root])[0] for model in both]
    rng = random.Random(name)
    for _ in range(12):
        pieces = [cuts(rng, model.root) for model in both]
        ranges = [part for parts in pieces for part in parts]
        wanted = [total for model, parts in zip(both, pieces, strict=True) for total in model.indexed(name, parts)]
        assert asked(sides, name, ranges) == wanted
        assert sides.axis(name).totals(ranges) == [
            total for model, parts in zip(both, pieces, strict=True) for total in model.expected(name, parts)
        ]
        some = rng.sample(ranges, 3)
        listed = sorted((doc.partition or 0, doc.key or "") for doc in sides.side.listed(sides.axis(name).bounds(some)))
        assert listed == sorted((p.partition, doc.key) for p in some for doc in both[p.partition].inside(name, p))


def test_what_is_left_out_is_neither_counted_nor_listed(world: World, sides: Sides) -> None:
    both = models(world, sides)
    roots = [model.root for model in both]
    left_out = ["20", "33", "😀", "k" * 600, "nobody"]
    sides.side.settle(sides.windows, left_out)
    for _ in range(2):  # the first request is another one than those that follow
        totals = asked(sides, OFFSET, roots)
        assert [total.docs for total in totals] == [
            sum(doc.key not in left_out for doc in model.there[KEY]) for model in both
        ]
    listed = {doc.key for doc in sides.side.listed(sides.axis(KEY).bounds(roots))}
    assert listed == {doc.key for model in both for doc in model.there[KEY]} - set(left_out)


def test_a_cluster_that_takes_fewer_ranges_gets_fewer(
    world: World, sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = models(world, sides)
    asked(sides, OFFSET, [model.root for model in both])
    monkeypatch.setattr("auditor.elastic_side._FEWEST_RANGES", 4)
    search, sizes = sides.side._search, []

    def strict(**body: Any) -> Any:
        parts = body["aggs"].values()
        sizes.append(sum(len(part["aggs"]["ranges"]["range"]["ranges"]) for part in parts))
        if sizes[-1] > 20:
            raise UnsafeError("Elasticsearch says 400: search_phase_execution_exception")
        return search(**body)

    monkeypatch.setattr(sides.side, "_search", strict)
    ranges = [Range(model.root.partition, n, n + 1) for model in both for n in range(model.root.low, model.root.high)]
    wanted = [
        total
        for model in both
        for total in model.indexed(OFFSET, [p for p in ranges if p.partition == model.root.partition])
    ]
    assert asked(sides, OFFSET, ranges) == wanted
    before = len(sizes)
    assert asked(sides, OFFSET, ranges) == wanted
    assert max(sizes[before:]) <= 20  # it is remembered
    monkeypatch.setattr("auditor.elastic_side._FEWEST_RANGES", 40)
    monkeypatch.setattr(sides.side, "_most_ranges", 1000)
    with pytest.raises(UnsafeError):
        asked(sides, OFFSET, ranges)
