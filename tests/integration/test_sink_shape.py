"""What is configured of a table's documents: in the index, after every change, and in the audit's eyes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from auditor.audit import audit
from auditor.repair import repair
from auditor.run_context import Context
from ops.config import load
from runner import Pipeline, until
from schemas.report import AuditReport, AuditStatus, FindingClass
from schemas.table import Column, ColumnType
from sink_world import World, letters, reason

pytestmark = pytest.mark.stack

TESTS = {"PYTHONPATH": f"{Path(__file__).parents[1]}:{Path(__file__).parents[2]}"}
ITEMS = tuple(
    Column(name=name, type=kind)
    for name, kind in {
        "shop": ColumnType.VARCHAR, "id": ColumnType.BIGINT, "status": ColumnType.ENUM, "price": ColumnType.DECIMAL,
        "title": ColumnType.VARCHAR, "secret": ColumnType.VARCHAR, "doc": ColumnType.JSON,
    }.items()
)  # fmt: skip
RULES = {
    "fields": {
        "exclude": ["secret"], "rename": {"title": "name"}, "analyzer": {"title": "english_like"},
        "type": {"price": {"type": "double", "ignore_malformed": True}, "doc": "flattened", "shop": "text"},
    },
    "filter": [
        {"column": "status", "op": "in", "value": ["open", "paid"]},
        {"column": "price", "op": ">=", "value": 1.5},
    ],
    "routing": ["shop"],
    "settings": {
        "number_of_shards": 3,
        "analysis": {
            "analyzer": {"english_like": {"type": "custom", "tokenizer": "standard", "filter": ["lowercase"]}},
        },
    },
}  # fmt: skip


def row(number: int, **more: Any) -> dict[str, Any]:
    base = {"shop": f"s{number % 5}", "id": number, "status": "open", "price": "1.50", "title": f"The Thing {number}"}
    return {**base, "secret": "hush", "doc": {"a": {"b": [number]}}, **more}


def audited(sink: Pipeline) -> tuple[Context, AuditReport]:
    context = Context(settings=load(sink.config).settings, deep=True)
    return context, audit(context)


def by_class(report: AuditReport) -> dict[FindingClass, set[str]]:
    made: dict[FindingClass, set[str]] = {}
    for finding in report.findings():
        made.setdefault(finding.class_, set()).add(finding.id)
    return made


@pytest.fixture
def items(world: World) -> World:
    world.source.table("shop.items", ITEMS, primary_key=("shop", "id"))
    return world


def test_fields_filter_and_routing(items: World) -> None:
    sink = items.sink(sink={"tables": {"shop.items": RULES}}, audit={"wait_s": 30, "max_requests_per_s": 500})
    publish = items.source.publish
    publish(*(row(n) for n in range(60)), table="shop.items")
    publish(*(row(n, status="sent") for n in range(0, 60, 3)), table="shop.items")
    publish(*(row(n, price="1.49") for n in range(1, 60, 6)), table="shop.items")
    publish(row(3), row(100, status="sent"), row(101, price=None), table="shop.items")
    items.source.transact(lambda: [items.source.delete(row(n), "shop.items") for n in (2, 3, 4, 8)])
    items.await_committed("shop.items")
    there = {n for n in range(60) if n % 3 and n % 6 != 1} - {2, 4, 8}
    shown = items.shown("shop.items")
    assert {source["id"] for source in shown.values()} == there
    assert shown['["s0",5]'] == {
        "shop": "s0", "id": 5, "status": "open", "price": "1.50", "name": "The Thing 5", "doc": {"a": {"b": [5]}},
    }  # fmt: skip
    index = items.alias("shop.items")
    found = items.client.search(index=index, query={"match": {"name": "thing"}}, size=100, routing="s0")["hits"]["hits"]
    assert all(hit["_routing"] == hit["_source"]["shop"] for hit in found)
    assert {hit["_source"]["id"] for hit in found if hit["_routing"] == "s0"} == {n for n in there if n % 5 == 0}
    term = {"term": {"doc.a.b": "11"}}
    assert items.client.count(index=index, query=term)["count"] == 1
    harm_and_repair(items, sink)
    items.source.transact(lambda: items.source.barrier("shop.items"))
    items.await_committed("shop.items")
    assert not items.shown("shop.items")


def harm_and_repair(world: World, sink: Pipeline) -> None:
    """The audit expects what the rules say, and repairs by them."""
    _, clean = audited(sink)
    assert (clean.status, by_class(clean)) == (AuditStatus.CLEAN, {})
    index, before = world.alias("shop.items"), world.documents("shop.items")
    world.client.delete(index=index, id='["s0",5]', routing="s0")
    orphan = before['["s1",11]'] | {"_cdc": before['["s1",11]']["_cdc"] | {"key": '["s1",1]'}}
    world.client.index(index=index, id='["s1",1]', routing="s1", document=orphan)
    context, report = audited(sink)
    assert by_class(report) == {FindingClass.MISSING: {'["s0",5]'}, FindingClass.ORPHAN: {'["s1",1]'}}
    assert repair(context, report, apply=True).status is AuditStatus.CLEAN
    world.client.indices.refresh(index=index)
    got = world.client.get(index=index, id='["s0",5]', routing="s0")["_source"]
    assert {name: got[name] for name in got if name != "_cdc"} == {
        name: value for name, value in before['["s0",5]'].items() if name != "_cdc"
    }
    assert not world.client.exists(index=index, id='["s1",1]', routing="s1")
    forged = before['["s0",10]'] | {"name": "forged"}
    world.client.index(
        index=index, id='["s0",10]', routing="s0", document=forged, version=forged["_cdc"]["seq"],
        version_type="external_gte",
    )  # fmt: skip
    places = {letter: str(world.client.search_shards(index=index, routing=letter)["shards"][0]) for letter in "abcdef"}
    home = str(world.client.search_shards(index=index, routing="s1")["shards"][0])
    other = next(letter for letter, place in places.items() if place != home)
    world.client.index(index=index, id='["s1",11]', routing=other, document=before['["s1",11]'])
    found = by_class(audited(sink)[1])
    assert found == {FindingClass.CONTENT: {'["s0",10]'}, FindingClass.FOREIGN: {'["s1",11]'}}
    world.client.delete(index=index, id='["s1",11]', routing=other)
    world.source.publish(row(10), table="shop.items")
    world.await_committed("shop.items")


def test_a_transform_and_what_it_cannot_make(world: World) -> None:
    world.source.table()
    world.source.table("shop.numbers")
    tables = {
        "shop.orders": {
            "transform": "transforms:upper",
            "fields": {"type": {"words": "keyword"}, "rename": {"table": "t"}},
        },
        "shop.numbers": {"transform": "transforms:picky", "fields": {"type": {"number": "byte"}}},
    }
    sink = world.sink(sink={"tables": tables}, env=TESTS, audit={"wait_s": 30, "max_requests_per_s": 500})
    notes = {1: "a b", 2: "c", 3: "", 4: "d"}
    world.source.publish(*({"id": n, "note": note} for n, note in notes.items()))
    world.source.publish({"id": 2, "note": ""}, {"id": 3, "note": "e"})
    world.source.publish(*({"id": n, "note": str(n)} for n in range(100)), table="shop.numbers")
    world.source.publish({"id": 7, "note": "seven"}, {"id": 8, "note": "800"}, table="shop.numbers")
    world.await_committed()
    world.await_committed("shop.numbers")
    assert world.shown() == {
        str(n): {"id": n, "note": note.upper(), "words": note.split(), "t": "orders"}
        for n, note in {1: "a b", 3: "e", 4: "d"}.items()
    }
    count = world.client.count(index=world.alias(), query={"term": {"words": "b"}})
    assert count["count"] == 1
    assert world.shown("shop.numbers") == {str(n): {"id": n, "number": n} for n in range(100)}
    by_key = {letter.key_text: letter for letter in letters(world)}
    assert {key: (letter.status, letter.type) for key, letter in by_key.items()} == {
        "7": (0, "transform_exception"), "8": (400, "document_parsing_exception"),
    }  # fmt: skip
    assert "the transform `transforms:picky` raised ValueError" in by_key["7"].reason
    assert orjson.loads(by_key["7"].value or "")["after"]["note"] == "seven"
    log = sink.log("sink")
    assert "transform_exception" in log
    assert "seven" not in log
    _, report = audited(sink)
    assert by_class(report) == {FindingClass.DEAD_LETTERED: {"7", "8"}}
    world.source.publish({"id": 7, "note": "77"}, table="shop.numbers")
    world.await_committed("shop.numbers")
    assert world.shown("shop.numbers")["7"] == {"id": 7, "number": 77}


def test_columns_that_come_and_go(items: World) -> None:
    rules = {"fields": {"rename": {"title": "name"}}, "filter": [{"column": "status", "value": "open"}]}
    sink = items.sink(sink={"tables": {"shop.items": rules}})
    items.source.publish(row(1), table="shop.items")
    more = (*ITEMS, Column(name="stock", type=ColumnType.INT))
    items.source.table("shop.items", more, primary_key=("shop", "id"), version=2)
    items.source.publish(row(2, stock=5), table="shop.items")
    items.await_committed("shop.items")
    assert items.shown("shop.items")['["s2",2]']["stock"] == 5
    items.source.table(
        "shop.items", (*more, Column(name="NAME", type=ColumnType.INT)), primary_key=("shop", "id"), version=3
    )
    items.source.publish(row(3, stock=5, NAME=1), table="shop.items")
    items.source.table("shop.other")
    items.put({"id": 1, "note": "goes on"}, table="shop.other")
    items.await_equal("shop.other")
    assert set(items.shown("shop.items")) == {'["s1",1]', '["s2",2]', '["s3",3]'}  # fields have a case: name, NAME
    gone = tuple(column for column in more if column.name != "status")
    items.source.table("shop.items", gone, primary_key=("shop", "id"), version=4)
    items.source.publish({**row(1, stock=1), "status": "open"}, table="shop.items")
    until(lambda: "the filter names status, which is no column" in reason(sink), "the table waits")
    items.put({"id": 2, "note": "goes on"}, table="shop.other")
    items.await_equal("shop.other")
    assert '["s1",1]' in items.shown("shop.items")


def test_a_filter_on_a_column_that_came_later(items: World) -> None:
    """Of rows from before that it is null."""
    first = items.sink()
    items.source.publish(row(1), table="shop.items")
    items.await_committed("shop.items")
    assert first.stop("sink") == 0
    more = (*ITEMS, Column(name="stock", type=ColumnType.INT))
    items.source.publish(row(2), table="shop.items")
    items.source.table("shop.items", more, primary_key=("shop", "id"), version=2)
    items.source.publish(row(3, stock=5), table="shop.items")
    items.sink(sink={"tables": {"shop.items": {"filter": [{"column": "stock", "op": ">", "value": 1}]}}})
    items.await_committed("shop.items")
    assert set(items.shown("shop.items")) == {'["s1",1]', '["s3",3]'}
