"""An audit against MySQL that could judge no row, or found no index."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from auditor.mysql_subject import MysqlSubject
from auditor.run_context import Context
from auditor.table_audit import Subject
from ops.settings import Settings
from schemas.report import AuditStatus
from schemas.table import Table

LAYOUT = Table(db="s", name="t", columns=(), primary_key=(), version=1, topic="x.s.t")
SETTINGS = Settings.model_validate({"source": {"name": "x", "user": "x", "password": "x"}})
CLIENT: Any = None


@pytest.mark.parametrize(
    ("lagging", "status"), [(3, AuditStatus.INCONCLUSIVE), (2, AuditStatus.CLEAN), (0, AuditStatus.CLEAN)]
)
def test_rows_that_change_all_the_time(monkeypatch: pytest.MonkeyPatch, lagging: int, status: AuditStatus) -> None:
    made = SimpleNamespace(keys=3, lagging=lagging, counts=Counter(), findings=[], run=lambda _scan: None)
    monkeypatch.setattr("auditor.mysql_subject.index.find", lambda *_: SimpleNamespace(name="x.s.t.000001"))
    monkeypatch.setattr("auditor.mysql_subject.index.must_still_be", lambda *_: None)
    monkeypatch.setattr(MysqlSubject, "_assemble", lambda *_: made)
    subject = Subject(table="s.t", topic="x.s.t", topic_id="i", alias="x.s.t")
    report = MysqlSubject(Context(settings=SETTINGS), CLIENT, subject).run()
    assert (report.status, report.lagging) == (status, lagging)
    assert ("none was judged" in report.reason) == (status is AuditStatus.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("chunks", "layout", "reason"),
    [
        ([], LAYOUT, ""),  # it was dropped, or has no row
        ([["a row"]], LAYOUT, "there is no index x.s.t. Is `tidemark sink run` running?"),
        ([], None, "there is no topic x.s.t. Is `tidemark cdc run` running?"),
    ],
)
def test_a_table_without_an_index(
    monkeypatch: pytest.MonkeyPatch, chunks: list[list[str]], layout: Table | None, reason: str
) -> None:
    looked: list[object] = []
    server = SimpleNamespace(close=lambda: looked.append("closed"))
    monkeypatch.setattr("auditor.mysql_subject.index.find", lambda *_: None)
    monkeypatch.setattr("auditor.mysql_subject.index.must_still_be", lambda *at: looked.append(at[-1]))
    monkeypatch.setattr("auditor.mysql_subject.MysqlServer", lambda _: server)
    monkeypatch.setattr("auditor.mysql_subject.MysqlTable", lambda *_: SimpleNamespace(chunks=lambda: iter(chunks)))
    subject = Subject(table="s.t", topic="x.s.t", topic_id="i", alias="x.s.t", layout=layout)
    report = MysqlSubject(Context(settings=SETTINGS), CLIENT, subject).run()
    assert (report.status, report.reason) == (AuditStatus.INCONCLUSIVE if reason else AuditStatus.CLEAN, reason)
    assert looked == (["closed"] if reason else [None, "closed"])
