"""What became of one finding, in the repair report's words. Pure."""

from __future__ import annotations

from auditor.case import Case
from auditor.change import Change
from auditor.words import REPAIRABLE
from auditor.writer import Written
from schemas.report import Finding, Repair, RepairOutcome

_GONE = "its last event is not in the topic any more, or no document can be made of it"


def mended(finding: Finding, before: Case, after: Case | None, written: Written | None) -> Repair:
    """After writing. `after`: judged once more, None if nothing was to be mended."""
    if after is None:
        return planned(finding, before, None)
    if after.verdict.kind is None:
        applied = written is not None and not written.reason
        return _repair(
            finding,
            RepairOutcome.REPAIRED if applied else RepairOutcome.SETTLED,
            written.change if written and applied else None,
        )
    reason = written.reason if written else _GONE
    return _repair(finding, RepairOutcome.FAILED, None, reason or f"it is {after.verdict.kind.value} again")


def planned(finding: Finding, case: Case, change: Change | None) -> Repair:
    """Before writing: `change` is what would be written."""
    kind = case.verdict.kind
    if kind is None:
        return _repair(finding, RepairOutcome.SETTLED, None, "it has changed since the report and is not wrong")
    if kind not in REPAIRABLE:
        return _repair(finding, RepairOutcome.LEFT, None, f"it is {kind.value} by now")
    if change is None:
        return _repair(finding, RepairOutcome.FAILED, None, _GONE)
    if not change.possible:
        return _repair(finding, RepairOutcome.FAILED, None, "no revision of its event wins over what somebody wrote")
    return _repair(finding, RepairOutcome.PLANNED, change)


def _repair(finding: Finding, outcome: RepairOutcome, change: Change | None, reason: str = "") -> Repair:
    return Repair.model_validate(
        {
            "class": finding.class_,
            "table": finding.table,
            "document": finding.document,
            "id": finding.id,
            "outcome": outcome,
            "version": change.version if change else None,
            "rev": change.rev if change and change.seq is not None else None,
            "reason": reason,
        }
    )
