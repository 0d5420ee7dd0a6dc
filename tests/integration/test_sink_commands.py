"""`tidemark sink mapping plan`, and what the doctor says of Elasticsearch."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from events import ORDERS
from ops.checks import Severity
from ops.config import load
from ops.settings import Settings
from rebuilding import rebuilt
from runner import Pipeline, until
from schemas.errors import ConfigError, ExitCode
from schemas.table import Column, ColumnType
from sink.checks import findings
from sink_cli import sink_command
from sink_world import World, ready, reason, status
from stack.ports import free_port

pytestmark = pytest.mark.stack


def mapping(sink: Pipeline, command: str) -> dict[str, Any]:
    """What the command says of shop.orders, with its `exit_code`."""
    code, out = sink_command(sink, "mapping", command, "shop.orders", "--json")
    found = orjson.loads(out)
    assert found["schema"] == "tidemark.sink.mapping/1"
    (table,) = found["tables"]
    assert code == (4 if table["state"] == "conflict" else 0)
    return {**table, "not_captured": found["not_captured"], "exit_code": code}


def plan(sink: Pipeline) -> dict[str, Any]:
    return mapping(sink, "plan")


def test_the_plan_follows_the_table(world: World) -> None:
    table = world.source.table()
    sink = world.sink(sink={"tables": {"shop.order": {"index": "orders"}}})
    assert status(sink)["details"]["not_captured"] == ["shop.order"]
    assert "is shop.orders meant?" in sink.log("sink")
    found = [finding for finding in findings(load(sink.config).settings) if finding.check == "sink.tables"]
    assert [(one.severity, one.where) for one in found] == [(Severity.WARN, '[sink.tables."shop.order"]')]
    sink.stop("sink")
    world.client.indices.delete(index=f"{world.alias()}.000001", ignore_unavailable=True)
    assert plan(sink)["state"] == "create"
    assert plan(sink)["mapping"]["properties"]["note"]["type"] == "text"
    sink.start("sink")
    world.put({"id": 1, "note": "x"})
    world.await_equal()
    sink.stop("sink")
    assert plan(sink)["state"] == "current"
    world.source.announce(replace(table, version=2, columns=(*table.columns, Column(name="c", type=ColumnType.YEAR))))
    assert (plan(sink)["state"], plan(sink)["diff"]) == ("update", ["c: new, integer"])
    number = (table.columns[0], Column(name="note", type=ColumnType.INT))
    world.source.announce(replace(table, version=3, columns=number))
    assert (plan(sink)["state"], plan(sink)["diff"]) == (
        "conflict", ["c: new, integer", "note: has text, needs long"],
    )  # fmt: skip


NOTE = {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 100}, "raw": {"type": "keyword"}}}
IN_PLACE = {"transform": "transforms:upper", "fields": {"type": {"note": NOTE, "words": "keyword"}},
            "settings": {"index": {"refresh_interval": "2s"}}}  # fmt: skip
NOT_IN_PLACE = {"fields": {"analyzer": {"note": "whitespace"}}}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"fields": {"analyzer": {"note": "nope"}}}, "analyzer .nope. has not been configured"),
    ({"fields": {"type": {"note": "no_such"}}}, "type .no_such. declared on field .note. does not exist"),
    ({"settings": {"no.such": 1}}, "unknown setting .index.no.such."),
    ({"settings": {"analysis.analyzer.mine": {"type": "custom", "tokenizer": "nope"}}}, "tokenizer under name .nope."),
]


def test_apply_makes_what_can_be_made_in_place(world: World, tmp_path: Path) -> None:
    world.source.table()
    world.sink()
    world.put({"id": 1, "note": "x"})
    world.await_equal()

    def run(command: str, name: str, **special: Any) -> dict[str, Any]:
        tables = {"shop.orders": special, "shop.nobody": {"index": "nobody"}}
        found = mapping(Pipeline(tmp_path / name, world.servers, world.name, sink={"tables": tables}), command)
        assert found["not_captured"] == ["shop.nobody"]
        return found

    first = run("plan", "update", **IN_PLACE)
    diff = ["note.keyword.ignore_above: has 8191, needs 100", "note.raw: new, keyword", "words: new, keyword",
            "settings.refresh_interval: has 1s, needs 2s"]  # fmt: skip
    assert (first["state"], first["diff"], first["exit_code"]) == ("update", diff, 0)
    assert all(change["in_place"] for change in first["changes"])
    done = run("apply", "apply", **IN_PLACE)
    assert (done["state"], done["diff"], done["exit_code"]) == ("current", [], 0)
    assert done["applied"] == first["changes"]
    assert first["outdated"] is done["outdated"] is True  # made without a transform
    index = world.client.indices.get(index=world.alias())[f"{world.alias()}.000001"]
    assert index["mappings"]["properties"]["words"]["type"] == "keyword"
    assert index["settings"]["index"]["refresh_interval"] == "2s"
    for command in ("plan", "apply"):
        stuck = run(command, f"stuck-{command}", **NOT_IN_PLACE)
        assert (stuck["state"], stuck["exit_code"], stuck["applied"]) == ("conflict", 4, [])
        assert "note.analyzer: has the default, needs whitespace" in stuck["diff"]
    own = {"analysis": {"analyzer": {"mine": {"type": "custom", "tokenizer": "standard"}},
                        "normalizer": {"low": {"type": "custom", "filter": ["lowercase"]}}}}  # fmt: skip
    fields = {"analyzer": {"note": "mine"}, "type": {"id": {"type": "keyword", "normalizer": "low"}}}
    assert run("plan", "own", fields=fields, settings=own)["state"] == "conflict"
    for number, (special, said) in enumerate(REFUSED):
        with pytest.raises(ConfigError, match=f"Elasticsearch would refuse the index: .*{said}"):
            run("plan", f"refused-{number}", **special)
    with pytest.raises(ConfigError, match=r"the filter names nite, which is no column \(did you mean note\?\)"):
        run("plan", "nite", filter=[{"column": "nite", "value": "x"}])


def test_a_configuration_that_the_index_cannot_take_stops_its_table_until_it_is_built_anew(world: World) -> None:
    shop = Column(name="shop", type=ColumnType.VARCHAR)
    world.source.table(columns=(shop, *ORDERS), primary_key=("shop", "id"))
    world.source.table("shop.other")
    sink = world.sink()
    world.put(*({"shop": f"s{n % 3}", "id": n, "note": "in" if n % 2 else "out"} for n in range(20)))
    world.await_equal()
    sink.stop("sink")
    world.source.publish({"shop": "s0", "id": 100, "note": "a-b c"})
    world.source.transact(lambda: world.source.delete({"shop": "s1", "id": 1}, event=False))
    other = {"filter": [{"column": "note", "op": "!=", "value": "out"}], "routing": ["shop"]}
    again = world.sink(ready=False, sink={"tables": {"shop.orders": {**NOT_IN_PLACE, **other}}})
    until(lambda: "_routing: has by id, needs by shop" in reason(again), "the difference is told")
    world.put({"id": 1, "note": "goes on"}, table="shop.other")
    world.await_equal("shop.other")
    assert len(world.documents()) == 20
    stuck = plan(again)
    assert (stuck["state"], stuck["outdated"]) == ("conflict", True)
    done = rebuilt(again.config, "shop.orders")
    assert done.code == 0, done.said
    kept = {name: row for name, row in world.rows["shop.orders"].items() if row["note"] == "in"}
    kept.pop('["s1",1]')
    world.rows["shop.orders"] = {**kept, '["s0",100]': {"shop": "s0", "id": 100, "note": "a-b c"}}
    world.await_equal()
    found = world.client.search(index=world.alias(), query={"term": {"note": "a-b"}}, routing="s0")["hits"]["hits"]
    assert [(hit["_id"], hit["_routing"]) for hit in found] == [('["s0",100]', "s0")]
    until(lambda: ready(again), "ready again")
    mended = plan(again)
    assert (mended["state"], mended["outdated"]) == ("current", False)


@pytest.mark.parametrize(
    ("special", "said"),
    [
        ({"fields": {"exclude": ["nite"]}}, "fields.exclude names nite, which is no column (did you mean note?)"),
        ({"fields": {"rename": {"note": "id"}}}, "several columns end in one field: id"),
        ({"fields": {"type": {"note": "no_such_type"}}}, "Elasticsearch refuses the index of shop.orders"),
        ({"settings": {"no.such": 1}}, "unknown setting [index.no.such]"),
        ({"transform": "nowhere:function"}, "the transform `nowhere:function` cannot be imported"),
        ({"routing": ["id"]}, "routing names the whole primary key"),
    ],
)
def test_what_does_not_fit_is_said_at_the_start(world: World, special: dict[str, Any], said: str) -> None:
    world.source.table()
    sink = world.sink(ready=False, sink={"tables": {"shop.orders": special}})
    assert world.ended(sink) == ExitCode.USAGE
    assert said in sink.log("sink")


def test_the_doctor_is_content(make_settings: Callable[..., Settings], unique: str) -> None:
    found = {finding.check: finding for finding in findings(make_settings(unique))}
    assert set(found) == {"elasticsearch.reachable", "elasticsearch.version", "elasticsearch.privileges", "records"}
    assert re.fullmatch(r"Elasticsearch [89]\.\d+\.\d+", found["elasticsearch.version"].what)
    assert all(finding.severity is Severity.OK for finding in found.values()), found


def test_the_doctor_finds_nobody(make_settings: Callable[..., Settings], unique: str) -> None:
    nobody = make_settings(unique, elasticsearch={"urls": [f"http://127.0.0.1:{free_port()}"]})
    (finding,) = [one for one in findings(nobody) if one.check != "records"]
    assert (finding.check, finding.severity) == ("elasticsearch.reachable", Severity.FAIL)
    assert finding.remedy


def test_the_doctor_looks_for_transforms(make_settings: Callable[..., Settings], unique: str) -> None:
    def found(transform: str) -> tuple[Severity, str]:
        settings = make_settings(unique, sink={"tables": {"shop.orders": {"transform": transform}}})
        (finding,) = [one for one in findings(settings) if one.check == "sink.transforms"]
        return finding.severity, finding.what

    assert found("transforms:upper") == (Severity.OK, "found transforms:upper")
    assert found("transforms:nobody")[0] is Severity.FAIL


def test_a_sink_of_other_rules_stops_when_its_index_is_rebuilt(world: World, tmp_path: Path) -> None:
    world.source.table()
    sink = world.sink()
    world.put({"id": 1, "note": "x"})
    world.await_equal()
    special = {"shop.orders": {"fields": {"exclude": ["note"]}}}
    changed = Pipeline(tmp_path / "changed", world.servers, world.name, sink={"tables": special})
    assert rebuilt(changed.config, "shop.orders").code == 0
    assert world.ended(sink) == ExitCode.UNSAFE
    assert "index-rules" in sink.log("sink")
    world.source.publish({"id": 2, "note": "y"})
    world.sink(sink={"tables": special})
    world.await_committed()
    assert world.shown() == {"1": {"id": 1}, "2": {"id": 2}}
