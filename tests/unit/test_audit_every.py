"""The audit as a service: what a round leaves behind, and what ends it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from auditor.every import Done, _round
from auditor.run_context import Context, StoppedError
from ops.health import Health
from ops.settings import Settings
from schemas.errors import RefusedError, RepairCapError, ReportOutdatedError, TidemarkError, UnreachableError
from schemas.report import AuditReport, AuditStatus

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
REPORT = AuditReport(id="1", name="x", status=AuditStatus.FINDINGS, started=NOW, finished=NOW, tables=[])


@pytest.fixture
def context() -> Context:
    return Context(settings=Settings.model_validate({"source": {"name": "x", "user": "x", "password": "x"}}))


@pytest.mark.parametrize(
    "error",
    [RepairCapError("too many", hint="Raise it."), ReportOutdatedError("old", hint="Again."), UnreachableError("gone")],
)
def test_a_repair_that_refuses_does_not_end_the_service(context: Context, error: TidemarkError) -> None:
    health = Health("audit", "x")
    with capture_logs() as said:
        _round(context, health, lambda _: Done(REPORT, error))
    [line] = said
    assert (line["log_level"], line["code"], line["hint"]) == ("error", error.code, error.hint)
    assert health.ready
    assert health.details()["repair"] == str(error)
    _round(context, health, lambda _: Done(REPORT))
    assert health.details()["repair"] == ""


def test_a_stop_during_the_repair_is_no_error(context: Context) -> None:
    with capture_logs() as said:
        _round(context, Health("audit", "x"), lambda _: Done(REPORT, StoppedError("stopped")))
    assert said == []


def test_what_the_audit_itself_cannot_get_over_comes_through(context: Context) -> None:
    def once(_: Context) -> Done:
        raise RefusedError("password")

    with pytest.raises(RefusedError):
        _round(context, Health("audit", "x"), once)
