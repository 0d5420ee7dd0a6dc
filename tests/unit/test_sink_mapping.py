"""What lies between a mapping that is there and the one that is wanted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ops.settings import SinkSettings
from ops.sink_table import flat
from schemas.condition import Condition
from schemas.errors import MappingConflictError
from schemas.fit import misfits, unknown
from schemas.shape import Rules
from schemas.table import Column, ColumnType, Table
from sink import plan
from sink.definition import Definition
from sink.follow import NOTHING, Followed, follow
from sink.index import Index
from sink.mapping import Difference, changed, differences, field_count
from sink.plan import Plan, State

KEYWORD = {"type": "keyword", "ignore_above": 8191}


def table(version: int = 1, **columns: ColumnType) -> Table:
    found = tuple(Column(name=name, type=kind) for name, kind in {"id": ColumnType.INT, **columns}.items())
    return Table(db="shop", name="orders", version=version, columns=found, primary_key=("id",), topic="s.shop.orders")


def said(existing: Any, *wanted: Any) -> list[tuple[str, bool]]:
    return [(str(found), found.in_place) for found in differences(existing, *wanted)]


def test_types_and_variants() -> None:
    has = {"a": {"type": "long"}, "o": {"properties": {"x": {"type": "long"}}}, "w": {"type": "keyword"}}
    wide = {"a": {"type": "text"}, "o": {"type": "object"}, "w": {"type": "unsigned_long"}, "n": {"type": "date"}}
    narrow = {**wide, "w": {"type": "keyword"}}
    assert said(has, wide, narrow) == [("a: has long, needs text", False), ("n: new, date", True)]
    assert changed(has, wide, narrow) == {"a": {"type": "text"}, "n": {"type": "date"}}
    assert field_count({"properties": {"t": {"type": "text", "fields": {"keyword": {}}}, **has}}) == 6


@pytest.mark.parametrize(
    ("has", "wants", "differs"),
    [
        (KEYWORD, KEYWORD, []),
        ({"type": "keyword"}, KEYWORD, [("f.ignore_above: has the default, needs 8191", True)]),
        ({"type": "text", "analyzer": "x"}, {"type": "text"}, [("f.analyzer: has x, needs the default", False)]),
        ({"type": "text"}, {"type": "text", "analyzer": "x"}, [("f.analyzer: has the default, needs x", False)]),
        ({"type": "text"}, {"type": "text", "fields": {"keyword": KEYWORD}}, [("f.keyword: new, keyword", True)]),
        ({"type": "scaled_float", "scaling_factor": 100.0}, {"type": "scaled_float", "scaling_factor": 100}, []),
        ({"type": "keyword", "doc_values": False}, {"type": "keyword", "doc_values": "false"}, []),
        ({"type": "dense_vector", "index_options": {"type": "hnsw", "m": 16}},
         {"type": "dense_vector", "index_options": {"type": "hnsw"}}, []),
        ({"type": "long", "index": True}, {"type": "long", "index": False},
         [("f.index: has true, needs false", False)]),
    ],
)  # fmt: skip
def test_parameters(has: Any, wants: Any, differs: list[tuple[str, bool]]) -> None:
    assert said({"f": has}, {"f": wants}) == differs
    assert set(changed({"f": has}, {"f": wants})) == ({"f"} if differs else set())


def definition(**special: Any) -> Definition:
    return Definition(SinkSettings.model_validate({"tables": {"shop.orders": special}}), table(note=ColumnType.VARCHAR))


def mapped(found: Definition, **more: Any) -> dict[str, Any]:
    about = found.meta({"table_version": 1})
    return {"dynamic": "false", "properties": found.mapping["properties"], "_meta": {"tidemark": about}, **more}


def test_a_whole_mapping() -> None:
    plain, routed = definition(), definition(routing=["shop"])
    assert plain.differences(mapped(plain)) == []
    assert [str(found) for found in plain.differences(mapped(plain, dynamic="true"))] == [
        "dynamic: has true, needs false"
    ]  # fmt: skip
    (found,) = routed.differences(mapped(plain))
    assert (str(found), found.in_place) == ("_routing: has by id, needs by shop", False)


def test_settings_of_an_index() -> None:
    found = definition(
        settings={"index": {"number_of_replicas": 2}, "codec": "best_compression", "index.sort": {"a": 1}}
    )
    assert dict(flat({"a": {"b": {"c": 1}, "d": 2}, "index.e": 3})) == {"a.b.c": 1, "a.d": 2, "e": 3}
    assert found.settings["number_of_replicas"] == 2
    differs = found.settings_differences({"index.number_of_replicas": "1", "index.sort.a": "1"})
    assert [(str(one), one.in_place) for one in differs] == [
        ("settings.number_of_replicas: has 1, needs 2", True),
        ("settings.codec: has the default, needs best_compression", False),
    ]
    assert found.dynamic_settings(differs) == {"index.number_of_replicas": 2}


def test_what_does_not_fit_a_table() -> None:
    orders = table(note=ColumnType.VARCHAR, price=ColumnType.DECIMAL)
    assert misfits(Rules(), orders) == []
    assert misfits(Rules(rename={"note": "id"}), orders) == ["several columns end in one field: id"]
    assert misfits(Rules(rename={"note": "id"}, exclude=frozenset({"id"})), orders) == []
    conditions = (Condition(column="prise", op=">", value=5), Condition(column="PRICE", op="=", value="x"))
    assert misfits(Rules(filter=conditions), orders) == [
        "the filter names prise, which is no column (did you mean price?)",
        "the filter on PRICE: a decimal column is compared with numbers",
    ]
    assert "not in the primary key (id)" in misfits(Rules(routing=("note",)), orders)[0]
    assert "the whole primary key" in misfits(Rules(routing=("id",)), orders)[0]


def test_columns_that_nobody_has() -> None:
    rules = Rules(exclude=frozenset({"nite"}), types={"NOTE": KEYWORD})
    assert unknown(rules, {"id", "note"}) == ["fields.exclude names nite, which is no column (did you mean note?)"]
    assert unknown(Rules(types={"x": KEYWORD}, transform="transforms:upper"), {"id"}) == []


class Mappings:
    """Follows up to some version."""

    def __init__(self, *refused: int) -> None:
        self.refused = refused

    def follow(self, index: Index, newer: Table, *, older: bool = False) -> Index:
        assert older == (newer.version < 5)
        if newer.version in self.refused:
            raise MappingConflictError(f"version {newer.version}")
        return Index(alias=index.alias, name=index.name, version=max(index.version, newer.version))


class Catalog:
    def get(self, _name: str, number: int) -> Table | None:
        return table(number) if number != 3 else None


@pytest.mark.parametrize(
    ("refused", "created", "reached"),
    [((), False, 5), ((5,), False, 4), ((4,), False, 3), ((2,), False, NOTHING), ((2,), True, 5), ((2, 4), True, 3)],
)
def test_how_far_an_index_can_follow(refused: tuple[int, ...], created: bool, reached: int) -> None:
    catalog: Any = Catalog()
    found = follow(Mappings(*refused), catalog, Index(alias="a", name="a.1", version=2, created=created), table(5))
    assert found.index.version == reached
    assert (found.conflict is not None) == (reached < 5)


def test_apply_says_what_elasticsearch_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lacks = Difference(field="c", has="nothing", needs="long", in_place=True)
    planned = Plan(definition=definition(), alias="a", index="a.1", state=State.UPDATE, differences=(lacks,))
    index = Index(alias="a", name="a.1", version=1)
    indices: Any = SimpleNamespace(find=lambda _table: index)
    catalog: Any = None
    monkeypatch.setattr(plan, "plan_of", lambda *_: planned)
    monkeypatch.setattr(plan, "follow", lambda *_: Followed(index, MappingConflictError("no")))
    done = plan.apply(indices, catalog, planned)
    assert done.state.stuck
    assert done.diff == [str(lacks), "no"]
