"""The report for programs: one object, `tidemark.audit/1`; a repair's is `tidemark.repair/1`."""

from __future__ import annotations

from schemas.report import AuditReport, RepairReport


def to_json(report: AuditReport | RepairReport) -> bytes:
    """One line; every seq is a string, since it is above 2^53."""
    return report.model_dump_json(by_alias=True).encode()
