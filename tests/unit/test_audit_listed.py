"""The list of kept audits holds what this version reads; what a newer one has kept is named in the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from auditor import archive, shelf
from auditor.report_json import to_json
from reports import report, table
from schemas.audits import AuditSummary


def test_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    old, new = report(table(), number=1), report(table(), number=2)
    shelf.keep(old)
    grown = {**orjson.loads(to_json(new)), "more": 1}
    (shelf.folder("x") / f"{new.id}.json").write_bytes(orjson.dumps(grown))
    with capture_logs() as said:
        assert [one.id for one in shelf.listed("x")] == [old.id]
    [line] = said
    assert (line["action"], "Upgrade" in line["hint"]) == ("report_unreadable", True)


def test_in_the_index() -> None:
    summary = AuditSummary.of(report(table())).model_dump(mode="json")
    hit: dict[str, Any] = {"_id": "1", "_index": "i", "_source": {**summary, "more": 1}}
    found = archive._summary(hit)
    assert found is not None
    assert found.model_dump(mode="json") == summary
    with capture_logs() as said:
        assert archive._summary({**hit, "_source": {**summary, "counts": {"unheard_of": 1}}}) is None
    assert [line["action"] for line in said] == ["report_unreadable"]
