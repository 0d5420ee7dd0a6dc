"""What only an audit with `--deep` sees: versions and fields, with what they are and what they should be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from auditing import World, found, ids
from auditor import bounded
from auditor.classify import judge
from auditor.contents import Contents
from auditor.doc import Doc
from schemas.report import AuditStatus, FindingClass

pytestmark = pytest.mark.stack

MakeWorld = Callable[..., World]


def overwrite(world: World, key: str, **more: Any) -> None:
    """As the sink would have, with the event's own version: other fields, all the same."""
    row = next(row for row in reversed(world.rows) if row.text == key)
    world.es.index(
        index=world.index, id=row.id, document={**row.source(world.topic_id), **more}, version=row.seq,
        version_type="external_gte",
    )  # fmt: skip


def test_fields_that_differ_are_named_with_both_values(make_world: MakeWorld) -> None:
    world = make_world()
    world.put(*ids(30))
    world.sync()
    overwrite(world, "3", text="V", more=[1])
    overwrite(world, "4", text=None)
    overwrite(world, "5", text="x" * 1000)
    world.overwrite("6", {**world.document("6")["_source"], "text": 1.0})
    world.overwrite("7", world.document("7")["_source"])
    assert world.audit().status is AuditStatus.CLEAN
    report = world.audit(deep=True)
    assert report.tables[0].deep
    assert found(report) == {"content": ["3", "4", "5"], "tampered": ["6", "7"]}
    said = {one.id: [(d.field, d.expected, d.found) for d in one.differs] for one in report.findings()}
    assert said["3"] == [("text", '"v"', '"V"'), ("more", None, "[1]")]
    assert said["4"] == [("text", '"v"', "null")]
    assert said["5"][0][2] == '"' + "x" * 199 + "…"
    assert said["6"] == [("text", '"v"', "1.0")]
    assert said["7"] == []
    [finding, *_] = report.findings(FindingClass.TAMPERED)
    assert finding.found is not None
    assert finding.expected is not None
    assert finding.found.version == finding.expected.seq + 1


def test_a_cdc_block_that_sums_do_not_see(make_world: MakeWorld) -> None:
    world = make_world()
    world.put(*ids(10))
    world.sync()
    for key, more in {"1": {"ts_ms": 0}, "2": {"extra": 1}, "3": {"rev": 7}}.items():
        overwrite(world, key, _cdc={**world.document(key)["_source"]["_cdc"], **more})
    report = world.audit(deep=True)
    assert found(report) == {"content": ["1", "2"], "tampered": ["3"]}
    assert [d.field for one in report.findings(FindingClass.CONTENT) for d in one.differs] == [
        "_cdc.ts_ms",
        "_cdc.extra",
    ]


def test_large_documents_and_changes_in_flight(make_world: MakeWorld) -> None:
    world = make_world(audit={"wait_s": 0.3})
    world.put(*ids(100), text="x" * 60_000)
    world.sync()
    world.put("1", "2", text="not there yet")
    world._bulk(world.rows[-2:-1])  # applied, not committed
    overwrite(world, "50", text="y")
    report = world.audit(deep=True)
    assert report.reason
    world.sync()
    world.drop("3")
    assert found(world.audit("shop.things", deep=True)) == {}  # behind by then
    world.sync()
    assert found(world.audit(deep=True)) == {"content": ["50"]}


SHAPED = {
    "shop.things": {
        "filter": [{"column": "text", "op": "!=", "value": "hidden"}],
        "transform": "transforms:shouting",
        "fields": {"rename": {"id": "number"}},
    }
}


def shaped(after: dict[str, Any]) -> dict[str, Any] | None:
    return None if after["text"] == "hidden" else {"number": after["id"], "text": after["text"].upper()}


def test_a_table_with_filter_and_transform(make_world: MakeWorld) -> None:
    world = make_world(sink={"tables": SHAPED}, made=shaped)
    world.put(*ids(20), text="seen")
    world.put(*ids(5, 20), text="hidden")
    world.sync()
    world.put("1", "2", "3", text="hidden")
    world.put("20", text="seen")
    world.sync()
    assert world.document("1") is None
    assert world.document("4")["_source"].keys() == {"number", "text", "_cdc"}
    assert world.audit(deep=True).status is AuditStatus.CLEAN
    overwrite(world, "5", text="seen")
    world.overwrite("2", world.rows[2].source(world.topic_id))
    world.remove("6")
    assert found(world.audit()) == {"missing": ["6"], "orphan": ["2"]}
    report = world.audit(deep=True)
    assert found(report) == {"missing": ["6"], "orphan": ["2"], "content": ["5"]}
    [finding] = report.findings(FindingClass.CONTENT)
    assert {d.field: (d.expected, d.found) for d in finding.differs} == {
        "text": ('"SEEN"', '"seen"'), "number": ('"5"', None), "id": (None, '"5"')
    }  # fmt: skip


def test_what_looks_wrong_once_is_no_finding(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world()
    world.put(*ids(30))
    world.sync()
    world.remove("7")
    looks: dict[str, int] = {}

    def flickering(log: Any, doc: Doc | None) -> Any:
        verdict = judge(log, doc)
        if verdict.kind is None:
            return verdict
        key = verdict.expected.key if verdict.expected else ""
        looks[key] = looks.get(key, 0) + 1
        return verdict if looks[key] == 1 else verdict._replace(kind=None)

    monkeypatch.setattr("auditor.confirm.judge", flickering)
    assert found(world.audit()) == {}
    assert looks == {"7": 2}


def test_documents_that_grow_are_read_in_bounded_pieces(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(partitions=1)
    world.put(*ids(400))
    world.sync()
    world.put(*ids(60, 400), text="y" * 60_000)
    world.sync()
    for key in ids(40, 410):
        overwrite(world, key, text="z" * 60_000)
    overwrite(world, "7", text="small")
    real, cut = bounded._Pool._read, []

    def read(self: bounded._Pool, answer: Any) -> bytes | None:
        data = real(self, answer)
        cut.extend([answer] if data is None else [])
        return data

    monkeypatch.setattr(bounded._Pool, "_read", read)
    compare, held = Contents.compare, []

    def comparing(self: Contents, cases: Any) -> Any:
        held.append(sum(len(str(case.doc.source)) for case in cases if case.doc))
        return compare(self, cases)

    monkeypatch.setattr(Contents, "compare", comparing)
    node = bounded._node
    monkeypatch.setattr(bounded, "_node", lambda _: node(1 << 20))
    report = world.audit(deep=True)
    assert (report.reason, found(report)) == ("", {"content": sorted([*ids(40, 410), "7"])})
    assert max(held) < 1 << 20
    assert len(cut) > 2  # of the scan's pages, and of those looked at again
