"""The list of kept audits: the contract of `tidemark audit report --list --json`, and of the index that keeps them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.report import Against, AuditReport, AuditStatus, FindingClass


class _Model(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="forbid", frozen=True)


class AuditSummary(_Model):
    """One audit without its findings. `whole`: every partition of every table was audited."""

    id: str
    name: str
    against: Against
    status: AuditStatus
    reason: str
    whole: bool
    started: datetime
    finished: datetime
    tables: list[str]
    keys: int
    counts: dict[FindingClass, int]
    requests: int
    repaired: int

    @classmethod
    def of(cls, report: AuditReport) -> AuditSummary:
        counts: dict[FindingClass, int] = {}
        for table in report.tables:
            for kind, count in table.counts.items():
                counts[kind] = counts.get(kind, 0) + count
        return cls(
            id=report.id,
            name=report.name,
            against=report.against,
            status=report.status,
            reason=report.reason,
            whole=all(table.whole for table in report.tables),
            started=report.started,
            finished=report.finished,
            tables=[table.table for table in report.tables],
            keys=sum(table.keys for table in report.tables),
            counts=counts,
            requests=sum(table.cost.requests for table in report.tables),
            repaired=report.repair.repaired if report.repair else 0,
        )


class Kept(_Model):
    """An audit, and where it is kept: on this machine, in Elasticsearch."""

    audit: AuditSummary
    here: bool
    in_index: bool


class AuditList(_Model):
    """The newest first. `index`: empty if reports are kept on this machine only."""

    schema_: Literal["tidemark.audits/1"] = Field("tidemark.audits/1", alias="schema")
    name: str
    index: str
    audits: list[Kept]
