"""The audit report: the contract of `tidemark audit run --json`, of the HTML page, and of repair."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

# Above 2^53: browsers and jq would round a number.
Seq = Annotated[int, BeforeValidator(int), PlainSerializer(str, return_type=str)]


class _Model(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="forbid", frozen=True)


class AuditStatus(StrEnum):
    """Findings win over inconclusive."""

    CLEAN = "clean"
    FINDINGS = "findings"
    INCONCLUSIVE = "inconclusive"


class FindingClass(StrEnum):
    """What is wrong with a document; the first class that fits."""

    DEAD_LETTERED = "dead_lettered"  # explained: its last event is in the dead-letter topic
    MISSING = "missing"  # the last event is no delete, yet there is no document
    ORPHAN = "orphan"  # there, though the last event is a delete
    STALE = "stale"  # older than the last event
    FOREIGN = "foreign"  # belongs to no partition of this topic


class Found(_Model):
    """What Elasticsearch holds; fields that the document lacks are null."""

    version: Seq
    seq_no: int
    primary_term: int
    topic_id: str | None = None
    partition: int | None = None
    offset: int | None = None
    seq: Seq | None = None


class Expected(_Model):
    """The key's last event in the topic."""

    op: str
    partition: int
    offset: int
    seq: Seq
    commit_ts_ms: int


class Finding(_Model):
    """One document whose presence, version or place differs. `document`: `<database>.<table>/<_id>`."""

    class_: FindingClass = Field(alias="class")
    table: str
    document: str
    id: str
    key: str
    expected: Expected | None
    found: Found | None


class Window(_Model):
    """What was audited of one partition: offsets [low, high)."""

    partition: int
    low: int
    high: int
    keys: int
    deleted: int


class Cost(_Model):
    """What the audit of a table took."""

    events: int = 0
    requests: int = 0
    rounds: int = 0
    response_bytes: int = 0
    seconds: float = 0


class TableReport(_Model):
    """One table. `reason` says why it is inconclusive."""

    table: str
    topic: str
    topic_id: str
    alias: str
    index: str
    status: AuditStatus
    reason: str = ""
    windows: list[Window] = []
    keys: int = 0
    lagging: int = 0
    counts: dict[FindingClass, int] = {}
    findings: list[Finding] = []
    findings_cut: bool = False
    cost: Cost = Cost()


class AuditReport(_Model):
    """A whole audit."""

    schema_: Literal["tidemark.audit/1"] = Field("tidemark.audit/1", alias="schema")
    format: Literal[1] = 1
    id: str
    name: str
    status: AuditStatus
    reason: str = ""
    started: datetime
    finished: datetime
    tables: list[TableReport]

    def findings(self, *classes: FindingClass) -> list[Finding]:
        """Every finding of these classes (all, if none is given), over all tables."""
        return [
            finding for table in self.tables for finding in table.findings if not classes or finding.class_ in classes
        ]
