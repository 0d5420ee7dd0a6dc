"""The envelope: what one row change looks like on Kafka.

The path builds and reads plain dicts of this shape; the TypedDicts name their fields.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

VERSION = "0.1.0"
CONNECTOR = "mysql"

NEW_KEY_HEADER = "__debezium.newkey"
OLD_KEY_HEADER = "__debezium.oldkey"
SEQ_HEADER = "seq"  # on tombstones: decimal digits in ASCII

Op = Literal["c", "u", "d", "r", "t"]


class Source(TypedDict):
    """Where and when a change was committed. `ts_*`: commit time; `row`: ordinal in the event at `file` and `pos`.

    Optional: `undecodable` names columns that were kept as `"base64:…"`, `omitted` those left out of a large event.
    """

    version: str
    connector: str
    name: str
    ts_ms: int
    ts_us: int
    snapshot: Literal["false", "incremental"]
    db: str
    table: str
    table_version: int
    server_id: int
    gtid: str | None
    file: str
    pos: int
    row: int
    thread: int
    seq: int
    undecodable: NotRequired[list[str]]
    omitted: NotRequired[list[str]]


class Transaction(TypedDict):
    """Place in the transaction, counted from 1 over captured tables, and over this table."""

    id: str
    total_order: int
    data_collection_order: int


class ChangeEvent(TypedDict):
    """One row change. `before` is null for c and r, `after` is null for d. `ts_*`: capture time."""

    before: dict[str, Any] | None
    after: dict[str, Any] | None
    source: Source
    transaction: Transaction | None
    op: Op
    ts_ms: int
    ts_us: int


class Barrier(TypedDict):
    """In every partition of a table's topic: everything of the table with a seq lower than `below` is gone."""

    op: Literal["t"]
    source: Source
    below: int
