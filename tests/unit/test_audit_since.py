"""Where an audit begins, and what clean audits have proven by then."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from auditor import audit, proven, words
from auditor.audit import new_id
from auditor.run_context import Context
from auditor.since import since
from auditor.table_audit import Subject
from ops.settings import Settings
from reports import finding
from schemas.errors import UsageError
from schemas.report import Against, AuditReport, AuditStatus, TableReport, Window

NOW = datetime.now(UTC)


def test_what_people_write() -> None:
    assert since("clean").clean
    assert since("0:1200, 3:9").offsets == {0: 1200, 3: 9}
    assert since("2026-11-21T03:00:00Z").ts_ms == 1795230000000
    assert abs(since("2h").ts_ms + 7_200_000 - time.time() * 1000) < 60_000
    for wrong in ("", "yesterday", "0:", "0:1,x", "0:1,2026-11-21T03:00", "-5h"):
        with pytest.raises(UsageError):
            since(wrong)


def test_ids_sort_as_the_audits_began() -> None:
    moments = [NOW.replace(microsecond=microsecond) for microsecond in (0, 9, 10, 255, 99_999, 999_999)]
    ids = [new_id(moment) for moment in moments]
    assert ids == sorted(ids)
    assert {len(id_) for id_ in ids} == {22}


def report(low: int, high: int, *, asked: str = "", status: AuditStatus = AuditStatus.CLEAN, index_id: str = "i1",
           partition: int = 0, **more: Any) -> AuditReport:  # fmt: skip
    window = Window(partition=partition, low=low, high=high, keys=1, deleted=0)
    table = TableReport(
        table="a.b", topic="t", topic_id="T", alias="i", index="i.1", index_id=index_id, status=status,
        windows=[window], since=asked, **more,
    )  # fmt: skip
    return AuditReport(id="x", name="shop", status=status, started=NOW, finished=NOW, tables=[table])


def test_only_a_chain_of_clean_audits_proves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def ends(topic_id: str = "T", index_id: str = "i1", rules: str = "", *, deep: bool = False) -> dict[int, int]:
        return proven.read("shop", "a.b", proven.Grounds(topic_id, index_id, rules), deep=deep)

    assert ends() == {}
    proven.note(report(500, 900, asked="2h"))
    assert ends() == {}  # what lies before 500 was never audited
    proven.note(report(7, 100))
    assert ends() == {0: 100}
    proven.note(report(100, 200, asked="clean"))
    assert ends() == {0: 200}
    proven.note(report(201, 300, asked="0:201"))
    assert ends() == {0: 200}
    proven.note(report(200, 400, asked="clean", status=AuditStatus.INCONCLUSIVE))
    assert ends() == {0: 200}
    proven.note(report(0, 50, partition=1))
    assert ends() == {0: 200, 1: 50}
    proven.note(report(150, 180, asked="0:150"))  # the log ends earlier than it did
    assert ends() == {1: 50}
    proven.note(report(0, 200))
    assert ends("U") == ends(index_id="i2") == ends(rules="a filter") == {}
    proven.note(report(0, 500, index_id=""))  # which index it was is not known
    assert (ends(), ends(index_id="")) == ({0: 200, 1: 50}, {})
    proven.note(report(0, 30, index_id="i2"))
    assert ends() == {}
    assert ends(index_id="i2") == {0: 30}
    proven.note(report(0, 40, index_id="i2", rules="a filter"))
    assert (ends(index_id="i2"), ends(index_id="i2", rules="a filter")) == ({}, {0: 40})


def test_a_plain_audit_proves_nothing_of_what_only_a_deep_one_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def ends() -> list[dict[int, int]]:
        return [proven.read("shop", "a.b", proven.Grounds("T", "i1", ""), deep=deep) for deep in (False, True)]

    proven.note(report(0, 100))
    assert ends() == [{0: 100}, {}]
    proven.note(report(0, 150, deep=True))
    proven.note(report(150, 300, asked="clean"))
    assert ends() == [{0: 300}, {0: 150}]
    proven.note(report(150, 400, asked="clean", deep=True))
    assert ends() == [{0: 400}, {0: 400}]


def test_what_was_found_takes_back_what_was_proven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    found: dict[str, Any] = {"status": AuditStatus.FINDINGS}

    def ends() -> list[dict[int, int]]:
        return [proven.read("shop", "a.b", proven.Grounds("T", "i1", ""), deep=deep) for deep in (False, True)]

    def proof() -> None:
        proven.note(report(0, 150, deep=True))
        assert ends() == [{0: 150}, {0: 150}]

    proof()
    proven.note(report(0, 200, deep=True, counts={"content": 3, "dead_lettered": 1}, **found))
    assert ends() == [{0: 150}, {}]
    proven.note(report(150, 160, asked="2h", counts={"content": 3, "missing": 1}, **found))
    assert ends() == [{}, {}]
    proven.note(report(150, 160, asked="clean"))
    assert ends() == [{}, {}]
    proof()
    other = report(0, 0, counts={"duplicate": 1}, **found).model_copy(update={"against": Against.BINLOG})
    proven.note(other)
    assert ends() == [{0: 150}, {0: 150}]
    proven.note(report(0, 0, counts={"missing": 1}, **found).model_copy(update={"against": Against.MYSQL}))
    assert ends() == [{}, {}]


def test_an_event_that_was_refused_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def ends() -> dict[int, int]:
        return proven.read("shop", "a.b", proven.Grounds("T", "i1", ""), deep=False)

    letters = [finding("dead_lettered", str(offset), offset=offset) for offset in (70, 40, 90)]
    proven.note(report(0, 100, findings=letters))
    assert ends() == {0: 40}
    proven.note(report(40, 200, asked="clean", findings=letters[:1]))
    assert ends() == {0: 70}
    proven.note(report(70, 300, asked="clean"))
    assert ends() == {0: 300}
    proven.note(report(0, 400, findings=letters, findings_cut=True))
    assert ends() == {}


def test_offsets_are_of_one_table() -> None:
    settings = Settings.model_validate({"source": {"name": "shop", "user": "x", "password": "x"}})
    context = Context(settings=settings, since=since("0:1200"))
    tables = [Subject(table=name, topic=name, topic_id="T", alias=name) for name in ("a.b", "a.c")]
    audit._check_since(context, tables[:1])
    audit._check_since(Context(settings=settings, since=since("2h")), tables)
    with pytest.raises(UsageError, match="one topic, and 2 tables"):
        audit._check_since(context, tables)


def test_the_report_says_how_much_was_audited() -> None:
    [table] = report(5, 9, asked="2h").tables
    table = table.model_copy(update={"partitions": 1, "keys": 1})
    assert words.part(table) == "only events since 2h"
    assert "the last clean audit" in words.part(table.model_copy(update={"since": "clean"}))
    assert words.part(table.model_copy(update={"since": ""})) == ""
    assert "partitions 0 of 3, and of them only" in words.part(table.model_copy(update={"partitions": 3}))
    both = [table, table.model_copy(update={"table": "a.c", "since": "clean"})]
    audited = report(5, 9).model_copy(update={"tables": both})
    assert [one.table for one in audited.proven] == ["a.c"]  # two hours are no success
