"""An audit against MySQL that could judge no row."""

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


@pytest.mark.parametrize(
    ("lagging", "status"), [(3, AuditStatus.INCONCLUSIVE), (2, AuditStatus.CLEAN), (0, AuditStatus.CLEAN)]
)
def test_rows_that_change_all_the_time(monkeypatch: pytest.MonkeyPatch, lagging: int, status: AuditStatus) -> None:
    made = SimpleNamespace(keys=3, lagging=lagging, counts=Counter(), findings=[], run=lambda _scan: None)
    monkeypatch.setattr("auditor.mysql_subject.index.find", lambda *_: SimpleNamespace(name="x.s.t.000001"))
    monkeypatch.setattr("auditor.mysql_subject.index.must_still_be", lambda *_: None)
    monkeypatch.setattr(MysqlSubject, "_assemble", lambda *_: made)
    settings = Settings.model_validate({"source": {"name": "x", "user": "x", "password": "x"}})
    client: Any = None
    subject = Subject(table="s.t", topic="x.s.t", topic_id="i", alias="x.s.t")
    report = MysqlSubject(Context(settings=settings), client, subject).run()
    assert (report.status, report.lagging) == (status, lagging)
    assert ("none was judged" in report.reason) == (status is AuditStatus.INCONCLUSIVE)
