"""What is kept of tables that were done, when it may not be believed or cannot be kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from auditor import shelf
from auditor.finished import Finished
from auditor.run_context import Context
from auditor.table_audit import Subject
from ops.settings import Settings
from reports import table
from schemas.shape import Rules, Shape

OLD, NEW = table(keys=1), table(keys=2)


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Finished:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(Finished, "_state", lambda *_: "as it was")
    settings = Settings.model_validate({"source": {"name": "x", "user": "x", "password": "x"}})
    client: Any = None
    return Finished(Context(settings=settings), client)


def subject(rules: Rules) -> Subject:
    return Subject(table="s.t", topic="x.s.t", topic_id="i", alias="x.s.t", shape=Shape(rules))


def test_the_code_of_a_transform_may_have_changed(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Finished, "_known", lambda *_: OLD)
    assert finished.of(subject(Rules()), lambda: NEW) == OLD
    assert finished.of(subject(Rules(transform="transforms:upper")), lambda: NEW) == NEW


def test_a_clean_table_that_cannot_be_put_aside(finished: Finished) -> None:
    topic = subject(Rules())
    finished._place(topic).mkdir()  # nobody, not even root, writes a file there
    with capture_logs() as said:
        assert finished.of(topic, lambda: NEW) == NEW
    assert [line["action"] for line in said] == ["audit_not_kept"]
    assert shelf.folder("x").is_dir()
