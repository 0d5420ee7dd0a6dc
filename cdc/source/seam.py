"""The seam between reading a binlog and publishing it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from schemas.position import Position
from schemas.table import Table


class Record(NamedTuple):
    """One encoded Kafka record. `value` None is a tombstone; `headers` are rare and cost a slower path."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class DdlKind(StrEnum):
    """What a statement did, told by its leading words only."""

    EMPTIED = "emptied"  # TRUNCATE: its barrier is in the batch
    DROPPED = "dropped"  # DROP TABLE, DROP DATABASE, CREATE OR REPLACE: its barrier is in the batch
    OTHER = "other"  # anything else that is not a transaction statement
    REPLACED = "replaced"  # RENAME onto a captured name, ALTER with PARTITION or TABLESPACE


@dataclass(frozen=True, slots=True, kw_only=True)
class Ddl:
    """A statement that may have changed captured tables. `tables`: full names it mentions, as far as could be told.

    `moved`: those whose rows it gave another name. `statement`: for people only, without values where columns are
    protected.
    """

    kind: DdlKind
    db: str
    tables: tuple[str, ...]
    statement: str
    gtid: str
    file: str
    pos: int
    moved: tuple[str, ...] = ()


class LossKind(StrEnum):
    """Why an event does not carry a column as it was."""

    OMITTED = "omitted"  # the event would be too large
    UNDECODABLE = "undecodable"  # no text in the column's character set: base64 instead


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What a batch's events of one table could not carry as it was. `count`: columns, summed over the events."""

    kind: LossKind
    table: str
    columns: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Events in source order and the position after them; both are published in one Kafka transaction.

    `tables`: layouts seen for the first time, to be made known no later than the events that use them.
    `ddl`: a statement that ended the batch; it is dealt with after the batch is published.
    `rows`: row changes in the batch; `commit_ts_ms`: the newest commit time in it, 0 if there is none.
    `losses`: what its events could not carry as it was. `more`: the next batch is there already, and may go in the
    same Kafka transaction; never said of one that ends in a statement.
    """

    records: Sequence[Record]
    position: Position
    tables: Sequence[Table] = field(default=())
    ddl: Ddl | None = None
    rows: int = 0
    size_bytes: int = 0
    commit_ts_ms: int = 0
    losses: Sequence[Loss] = ()
    more: bool = False


class Router(Protocol):
    """Which tables are captured, and where their events go."""

    def wants(self, db: str, table: str) -> bool:
        """True if the table would be captured, were nothing found against it."""

    def captures(self, db: str, table: str) -> bool:
        """True if the table's rows are wanted."""

    def topic(self, db: str, table: str) -> str:
        """The table's topic; stable for one source."""

    def partitions(self, topic: str) -> int:
        """The topic's pinned partition count."""


class ChangeSource(Protocol):
    """Reads a binlog from a position on."""

    def batches(self, position: Position) -> Iterator[Batch]:
        """Yield batches for ever: one when the stream flows, and an idle source one for each heartbeat.

        Raises a `TidemarkError`: retryable ones (a lost connection) are for the caller to try again from the last
        published position, all others mean that the binlog cannot be read faithfully.
        """

    def close(self) -> None:
        """Make a running `batches` return soon; callable from another thread, more than once."""
