"""The audit report: the contract of `tidemark audit run --json`, of the HTML page, and of repair."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from schemas.cost import Cost, KeySpace, Lag, Level

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
    """What is wrong with a document; the first class that fits.

    `dead_lettered` is explained and named, and leaves an audit clean.
    """

    DEAD_LETTERED = "dead_lettered"  # explained: its last event is in the dead-letter topic
    MISSING = "missing"  # the last event is no delete, yet there is no document
    ORPHAN = "orphan"  # there, though the last event is a delete
    STALE = "stale"  # older than the last event
    FOREIGN = "foreign"  # belongs to no partition of this topic
    TAMPERED = "tampered"  # only with --deep: `_version` is not seq + rev
    CONTENT = "content"  # with --deep: `_source` is not what the last event says; against MySQL: not what the row says
    UNPUBLISHED = "unpublished"  # against the binlog: a row change that is not in the topic
    UNLOGGED = "unlogged"  # against the binlog: an event of no row change
    DUPLICATE = "duplicate"  # against the binlog: a row change that is in the topic more than once


class Against(StrEnum):
    """What was compared with what: the index with its topic, the index with MySQL, the topic with the binlog."""

    TOPIC = "topic"
    MYSQL = "mysql"
    BINLOG = "binlog"


class Found(_Model):
    """What Elasticsearch holds; fields that the document lacks are null."""

    version: Seq
    seq_no: int
    primary_term: int
    topic_id: str | None = None
    partition: int | None = None
    offset: int | None = None
    seq: Seq | None = None
    rev: int | None = None


class Expected(_Model):
    """The key's last event in the topic. `op` t: a barrier removed it; `offset` and `seq` are then the barrier's."""

    op: str
    partition: int
    offset: int
    seq: Seq
    commit_ts_ms: int


class Differs(_Model):
    """One field of a document. The values are JSON, cut to some length; null where the field is absent."""

    field: str
    expected: str | None
    found: str | None


class RowChange(_Model):
    """Where a row change stands in the binlog. `row`: its ordinal in the event at `pos`; `gtid` empty without GTIDs."""

    gtid: str
    file: str
    pos: int
    row: int
    op: str


class Finding(_Model):
    """One document whose presence, version, place or content differs. `document`: `<database>.<table>/<_id>`.

    `differs`: the fields, for `content` and `tampered`; `change`: of an audit against the binlog.
    """

    class_: FindingClass = Field(alias="class")
    table: str
    document: str
    id: str
    key: str
    expected: Expected | None
    found: Found | None
    differs: list[Differs] = []
    change: RowChange | None = None


class Window(_Model):
    """What was audited of one partition: offsets [low, high)."""

    partition: int
    low: int
    high: int
    keys: int
    deleted: int


class TableReport(_Model):
    """One table. `reason` says why it is inconclusive.

    `since`: as the windows' begin was asked for, empty for all that the topic has. `keys`: rows that must be there;
    `unsettled`: further keys, which were being written and were judged one by one; `lagging`: suspects that an event
    explains which the sink has not settled yet; `counts` covers every finding, `findings` names them up to a limit and
    then says so in `findings_cut`.
    `index_id`: tells the index from others that had its name, or its name before a restore; empty if that could not be
    told. `rules`: tells what `[sink.tables]` made of a row, empty for all of it.
    `partitions`: how many the topic has; `windows` are those that were audited. `deep`: whether every document was
    read, its `_version` and its fields.
    """

    table: str
    topic: str
    topic_id: str
    alias: str
    index: str
    index_id: str = ""
    rules: str = ""
    status: AuditStatus
    reason: str = ""
    deep: bool = False
    since: str = ""
    partitions: int = 0
    windows: list[Window] = []
    keys: int = 0
    unsettled: int = 0
    lagging: int = 0
    counts: dict[FindingClass, int] = {}
    findings: list[Finding] = []
    findings_cut: bool = False
    key_space: KeySpace = KeySpace()
    search: list[Level] = []
    lag: Lag = Lag()
    cost: Cost = Cost()

    @property
    def compared(self) -> bool:
        """True if there was a key to compare, live or gone."""
        return bool(self.keys or self.unsettled or any(window.deleted for window in self.windows))

    @property
    def whole(self) -> bool:
        """True if every partition of its topic was audited."""
        return len(self.windows) >= self.partitions


class RepairOutcome(StrEnum):
    """What became of one finding."""

    PLANNED = "planned"  # a dry run would have written it
    REPAIRED = "repaired"
    SETTLED = "settled"  # the document has changed since the report, and is right or about to be
    LEFT = "left"  # of a class that repair does not touch
    FAILED = "failed"  # still wrong; `reason` says why


class Repair(_Model):
    """One finding and what was done. `version` is what was (or would be) written, null where nothing is."""

    class_: FindingClass = Field(alias="class")
    table: str
    document: str
    id: str
    outcome: RepairOutcome
    version: Seq | None = None
    rev: int | None = None
    reason: str = ""


class RepairReport(_Model):
    """What a repair did. `report`: the audit's id.

    `status`: clean if nothing that repair could mend is left, but inconclusive if the audit could not prove a table.
    """

    schema_: Literal["tidemark.repair/1"] = Field("tidemark.repair/1", alias="schema")
    format: Literal[1] = 1
    name: str
    report: str
    applied: bool
    status: AuditStatus
    started: datetime
    finished: datetime
    repaired: int
    counts: dict[RepairOutcome, int] = {}
    repairs: list[Repair] = []


class AuditReport(_Model):
    """A whole audit.

    `parts`: ids of the reports that were merged into this one. `repair` is there if a repair was asked for in the same
    run.
    """

    schema_: Literal["tidemark.audit/1"] = Field("tidemark.audit/1", alias="schema")
    format: Literal[1] = 1
    id: str
    name: str
    against: Against = Against.TOPIC
    status: AuditStatus
    reason: str = ""
    started: datetime
    finished: datetime
    tables: list[TableReport]
    parts: list[str] = []
    repair: RepairReport | None = None

    @property
    def clean(self) -> list[TableReport]:
        """The tables that are clean in every partition, as far as was asked; none if not a single key was compared."""
        if not any(table.compared for table in self.tables):
            return []
        return [table for table in self.tables if table.status is AuditStatus.CLEAN and table.whole]

    @property
    def proven(self) -> list[TableReport]:
        """Of the `clean` ones, those from the start of the log, or from where the last such audit had ended.

        Against the binlog that is all of them: it never has more than a window.
        """
        return [table for table in self.clean if self.from_the_start(table)]

    def from_the_start(self, table: TableReport) -> bool:
        """True if nothing was left out for its age that no earlier clean audit has seen."""
        return table.since in ("", "clean") or self.against is Against.BINLOG

    def findings(self, *classes: FindingClass) -> list[Finding]:
        """Every finding of these classes (all, if none is given), over all tables."""
        return [
            finding for table in self.tables for finding in table.findings if not classes or finding.class_ in classes
        ]
