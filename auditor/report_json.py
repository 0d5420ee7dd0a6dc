"""The report for programs: one object, `tidemark.audit/1`; also of a repair, and of a list of reports."""

from __future__ import annotations

from schemas.audits import AuditList
from schemas.report import AuditReport, RepairReport


def to_json(report: AuditReport | RepairReport | AuditList) -> bytes:
    """One line; every seq is a string, since it is above 2^53."""
    return report.model_dump_json(by_alias=True).encode()
