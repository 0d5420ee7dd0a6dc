"""Verdicts, the text for a person, partial answers, revisions, lengths of time."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from auditor import known
from auditor.audit import verdict
from auditor.change import Change, current_version
from auditor.queries import check
from auditor.repair import _status as left_by
from auditor.report_html import to_html
from auditor.report_json import to_json
from auditor.report_metrics import registry
from auditor.report_text import show
from ops.duration import seconds
from schemas.errors import PartialAnswerError, UsageError
from schemas.report import (
    Against,
    AuditReport,
    AuditStatus,
    Finding,
    FindingClass,
    Repair,
    RepairOutcome,
    TableReport,
    Window,
)

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
CLEAN, RED, GRAY = AuditStatus.CLEAN, AuditStatus.FINDINGS, AuditStatus.INCONCLUSIVE


def table(status: AuditStatus = CLEAN, keys: int = 1, **more: object) -> TableReport:
    window = Window(partition=0, low=0, high=9, keys=keys, deleted=0)
    about = {"table": "s.t", "topic": "x.s.t", "topic_id": "i", "alias": "x.s.t", "index": "x.s.t.000001"}
    return TableReport.model_validate({**about, "status": status, "windows": [window], "keys": keys, **more})


def report(*tables: TableReport) -> AuditReport:
    status, reason = verdict(tables)
    return AuditReport(
        id="20261121T030000-abc", name="x", status=status, reason=reason, started=NOW,
        finished=NOW + timedelta(seconds=2), tables=list(tables),
    )  # fmt: skip


def text(shown: AuditReport) -> str:
    console = Console(file=io.StringIO(), width=120)
    show(shown, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("tables", "status"),
    [
        ((), GRAY),
        ((table(keys=0),), GRAY),
        ((table(), table(keys=0)), CLEAN),
        ((table(), table(GRAY, reason="no")), GRAY),
        ((table(RED), table(GRAY, reason="no")), RED),
        ((table(counts={FindingClass.DEAD_LETTERED: 3}),), CLEAN),
    ],
)
def test_verdicts(tables: tuple[TableReport, ...], status: AuditStatus) -> None:
    assert verdict(tables)[0] is status


def repaired(outcome: RepairOutcome, kind: FindingClass = FindingClass.MISSING) -> Repair:
    return Repair.model_validate(
        {"class": kind, "table": "s.t", "document": "s.t/1", "id": "1", "outcome": outcome, "version": None}
    )


@pytest.mark.parametrize(
    ("tables", "outcome", "status"),
    [
        ((table(RED),), RepairOutcome.REPAIRED, CLEAN),
        ((table(RED), table(GRAY, reason="behind")), RepairOutcome.REPAIRED, GRAY),
        ((table(RED, reason="a server went away"),), RepairOutcome.REPAIRED, GRAY),
        ((table(RED), table(GRAY, reason="behind")), RepairOutcome.FAILED, RED),
        ((table(RED, findings_cut=True),), RepairOutcome.REPAIRED, RED),
        ((table(RED),), RepairOutcome.SETTLED, CLEAN),
    ],
)
def test_a_repair_proves_no_table_that_the_audit_could_not(
    tables: tuple[TableReport, ...], outcome: RepairOutcome, status: AuditStatus
) -> None:
    assert left_by([repaired(outcome)], report(*tables)) is status


def test_the_text_says_what_is_wrong_how_much_and_what_to_do() -> None:
    finding = Finding.model_validate(
        {"class": "missing", "table": "s.t", "document": "s.t/4\x1b[31m2", "id": "42", "key": "42", "found": None,
         "expected": {"op": "u", "partition": 3, "offset": 17, "seq": 1 << 60, "commit_ts_ms": 1_763_700_000_000}}
    )  # fmt: skip
    shown = text(report(table(RED, counts={FindingClass.MISSING: 7}, findings=[finding] * 7)))
    for part in ("FINDINGS: 7 documents", "7 missing", "partition 3 offset 17", "and 2 more", "tidemark audit repair"):
        assert part in shown
    assert "\x1b[31m" not in shown
    assert "CLEAN" in text(report(table()))
    assert "nothing was checked" in text(report())
    assert "clean" not in text(report(table(keys=0)))


def test_json_has_numbers_above_2_53_as_text() -> None:
    made = report(table())
    assert AuditReport.model_validate_json(to_json(made)) == made
    assert to_json(made).count(b"\n") == 0


@pytest.mark.parametrize(
    "answer",
    [
        {"timed_out": True, "_shards": {"total": 2, "successful": 2, "failed": 0}},
        {"timed_out": False, "_shards": {"total": 2, "successful": 1, "failed": 1}},
        {"timed_out": False, "_shards": {"total": 2, "successful": 1, "failed": 0}},
        {"timed_out": False},
    ],
)
def test_a_partial_answer_is_an_error(answer: dict[str, object]) -> None:
    with pytest.raises(PartialAnswerError):
        check(answer, "index")


def test_the_smallest_revision_that_wins() -> None:
    change = Change(id="1", seq=10_240)
    assert (change.over(10).rev, change.over(10_240).rev, change.over(10_241).rev) == (1, 1, 2)
    assert change.over(10_240 + 1022).possible
    assert not change.over(10_240 + 1023).possible
    reason = "[1]: version conflict, current version [10241] is higher or equal to the one provided [10241]"
    assert current_version(reason) == 10_241
    assert current_version("something else") is None


def test_lengths_of_time() -> None:
    assert [seconds(one) for one in ("30s", "15m", "1h", "1.5h", "1d")] == [30, 900, 3600, 5400, 86400]
    for wrong in ("", "1", "h", "-1h", "0s", "1 hour"):
        with pytest.raises(UsageError):
            seconds(wrong)


def test_keys_in_flight_are_told() -> None:
    of_topic = report(table(unsettled=600, lagging=2))
    of_mysql = report(table(lagging=3, windows=[]))
    for shown, told in (
        (of_topic, ("600 keys were being written", "2 keys are not due yet")),
        (of_mysql, ("3 keys changed whenever they were looked at",)),
    ):
        for said in told:
            assert said in text(shown)
            assert said in to_html(shown).decode()
    assert registry(of_topic, {}, known.upto(of_topic)).get_sample_value(
        "tidemark_audit_unsettled_keys", {"source": "x", "against": "topic", "table": "s.t"}
    ) == 600  # fmt: skip


def test_each_comparison_has_its_words() -> None:
    finding = {"table": "s.t", "document": "s.t/5", "id": "5", "key": "5", "expected": None, "found": None}
    differs = [{"field": "a", "expected": '"' + "x" * 100, "found": None}]
    mysql = [{**finding, "class": "missing"}, {**finding, "class": "content", "differs": differs}]
    change = {"gtid": "u:7", "file": "bin.1", "pos": 4, "row": 0, "op": "u"}
    binlog = [{**finding, "class": "unpublished", "change": change}]
    of_mysql = report(table(RED, counts={"missing": 1, "content": 1}, findings=mysql, deep=True))
    shown = text(of_mysql.model_copy(update={"against": Against.MYSQL}))
    for said in (
        "beside 1 rows in MySQL",
        "as its row in MySQL",
        "every document read",
        'a (absent, not "' + "x" * 39 + "…",
    ):
        assert said in shown
    assert "audit repair" not in shown
    of_binlog = report(table(RED, counts={"unpublished": 1}, findings=binlog))
    shown = text(of_binlog.model_copy(update={"against": Against.BINLOG}))
    for said in ("should be: in the topic", "the change `u` of u:7 at bin.1:4 row 0", "of 1 in the binlog"):
        assert said in shown
