"""`tidemark sink mapping plan`, and what the doctor says of Elasticsearch."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from ops.checks import Severity
from ops.settings import Settings
from runner import Pipeline
from schemas.table import Column, ColumnType
from sink.checks import findings
from sink.commands import app
from sink_world import World
from stack.ports import free_port

pytestmark = pytest.mark.stack


def plan(sink: Pipeline) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["mapping", "plan", "--json", "-c", str(sink.config)], catch_exceptions=False)
    found = orjson.loads(done.stdout)
    assert found["schema"] == "tidemark.sink.mapping/1"
    (table,) = found["tables"]
    return dict(table)


def test_the_plan_follows_the_table(world: World) -> None:
    table = world.source.table()
    sink = world.sink(ready=False)
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
    assert (plan(sink)["state"], plan(sink)["diff"]) == ("conflict", ["note: has text, needs long"])


def test_the_doctor_is_content(make_settings: Callable[..., Settings], unique: str) -> None:
    found = {finding.check: finding for finding in findings(make_settings(unique))}
    assert set(found) == {"elasticsearch.reachable", "elasticsearch.version", "elasticsearch.privileges"}
    assert re.fullmatch(r"Elasticsearch [89]\.\d+\.\d+", found["elasticsearch.version"].what)
    assert all(finding.severity is Severity.OK for finding in found.values()), found


def test_the_doctor_finds_nobody(make_settings: Callable[..., Settings], unique: str) -> None:
    nobody = make_settings(unique, elasticsearch={"urls": [f"http://127.0.0.1:{free_port()}"]})
    (finding,) = findings(nobody)
    assert (finding.check, finding.severity) == ("elasticsearch.reachable", Severity.FAIL)
    assert finding.remedy
