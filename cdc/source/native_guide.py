"""What the native engine asks about: new layouts, statements, character sets. Rare, and called from its thread."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from cdc.source import native_charset
from cdc.source.capture import Captured, Tables
from cdc.source.envelope import Origin, Seq
from cdc.source.prepared import Prepared
from cdc.source.protection import UNPROTECTED, Protections
from cdc.source.query import Query, parse_query
from cdc.source.refusal import statement_format
from cdc.source.seam import Ddl, Record, Router
from cdc.source.sql import NEWEST
from cdc.source.statement import Kind, Statement, classify
from cdc.source.table_changes import TableChanges
from cdc.source.tablemap import table_name
from cdc.source.transaction import Coordinates, Transaction
from cdc.source.wire import EventType, type_name, version_number
from schemas.errors import TidemarkError, UndecodableError
from schemas.table import Table

_ACTIONS = {
    Kind.BEGIN: "begin", Kind.XA_START: "xa-start", Kind.CHANGE: "nothing", Kind.ROLLBACK_TO: "rollback-to",
    Kind.ROLLBACK: "rollback", Kind.COMMIT: "commit", Kind.XA_OUTCOME: "commit", Kind.XA_END: "nothing",
}  # fmt: skip

_Column = tuple[str, int, int, bool, int, int, int, int, str, list[str], str]


class TableAnswer(NamedTuple):
    """A captured table, its columns as they were logged, each with its policy.

    `key`: numbers of its columns, in key order; `new`: the layout, if it is seen first here.
    """

    db: str
    name: str
    version: int
    topic: str
    partitions: int
    key: list[int]
    columns: list[_Column]
    new: Table | None


class StatementOrigin(NamedTuple):
    """The transaction and the place of a statement."""

    gtid: str
    transaction_id: str
    commit_us: int
    server_id: int
    file: str
    start: int


class StatementState(NamedTuple):
    """How far reading is. `repeated`: what the statement did was published before an interruption."""

    captured_us: int
    seq: int
    repeated: bool
    load: bool
    server: str
    fold_names: bool


class Verdict(NamedTuple):
    """What follows from a statement. `records`: barriers, `bytes` in all; `seq`: the highest given out after them."""

    action: str
    thread: int
    ddl: Ddl | None
    records: list[Record]
    bytes: int
    seq: int


class Guide:
    """Answers for one run of the engine."""

    def __init__(
        self,
        *,
        name: str,
        router: Router,
        known: Mapping[str, Table],
        versions: dict[str, int],
        protections: Protections = UNPROTECTED,
    ) -> None:
        self._name = name
        self._hash_key = protections.key
        self._tables = Tables(router, known, versions, protections)
        self._seq = Seq(0)
        self._fold_names = False
        self._version = NEWEST
        self._changes = TableChanges(
            router,
            self._tables,
            self._seq,
            fold_names=lambda: self._fold_names,
            version=lambda: self._version,
            protections=protections,
        )
        self._prepared = Prepared("native")

    def table(self, body: bytes) -> TableAnswer | None:
        """A TABLE_MAP event; None if its table is not captured."""
        with _decoding(EventType.TABLE_MAP):
            captured = self._tables.captured(table_name(body), body)
        if captured is None:
            return None
        new = self._tables.new.pop() if self._tables.new else None
        return _answer(captured, new)

    def hash_key(self) -> bytes:
        """The key of the hashes, asked for when a table has a column to hash."""
        if self._hash_key is None:
            raise UndecodableError("a column to be hashed, and no key")
        return self._hash_key.reveal()

    def charset(self, name: str) -> native_charset.Tables:
        """A character set that is not built in."""
        return native_charset.tables(name)

    def prepared(self, body: bytes) -> None:
        """An XA_PREPARE event."""
        with _decoding(EventType.XA_PREPARE):
            self._prepared.add(body)

    def statement(
        self, body: bytes, origin: tuple[str, str, int, int, str, int], state: tuple[int, int, bool, bool, str, bool]
    ) -> Verdict:
        """A QUERY or EXECUTE_LOAD_QUERY event."""
        return self._judge(body, StatementOrigin(*origin), StatementState(*state))

    def _judge(self, body: bytes, origin: StatementOrigin, state: StatementState) -> Verdict:
        self._fold_names = state.fold_names
        with _decoding(EventType.QUERY):
            query = parse_query(body, load=state.load)
            self._version = version_number(state.server)
            statement = classify(query, self._version)
        if state.load or statement.kind is Kind.CHANGE:
            self._must_be_elsewhere(query, statement)
            return Verdict("nothing", query.thread, None, [], 0, state.seq)
        if statement.kind is Kind.XA_OUTCOME:
            self._prepared.settle(query)
        if action := _ACTIONS.get(statement.kind):
            return Verdict(action, query.thread, None, [], 0, state.seq)
        return self._table_change(query, statement, _origin(self._name, query, origin, state), state)

    def _table_change(self, query: Query, statement: Statement, origin: Origin, state: StatementState) -> Verdict:
        ddl = self._changes.ddl(query, statement, origin)
        self._seq.value = state.seq
        matters = ddl is not None and not state.repeated
        records = list(self._changes.barriers(statement, origin)) if matters else []
        size = sum(len(record.key) + len(record.value or b"") for record in records)
        return Verdict("other", query.thread, ddl, records, size, self._seq.value)

    def _must_be_elsewhere(self, query: Query, statement: Statement) -> None:
        if not self._changes.provably_elsewhere(query, statement):
            raise statement_format(self._changes.text(query))


def _origin(name: str, query: Query, origin: StatementOrigin, state: StatementState) -> Origin:
    transaction = Transaction(origin.gtid, origin.commit_us, origin.transaction_id)
    transaction.thread = query.thread
    return Origin(name, origin.server_id, Coordinates(origin.file, origin.start), transaction, state.captured_us)


def _answer(captured: Captured, new: Table | None) -> TableAnswer:
    table = captured.table
    numbers = {wire.column.name: number for number, wire in enumerate(captured.columns)}
    protection = captured.protection
    return TableAnswer(
        db=table.db,
        name=table.name,
        version=table.version,
        topic=table.topic,
        partitions=captured.partitions,
        key=[numbers[name] for name in table.primary_key],
        columns=[
            (
                wire.column.name, int(wire.code), wire.size, wire.column.unsigned, wire.column.length,
                wire.column.precision, wire.column.scale, wire.column.fsp, wire.column.charset,
                list(wire.column.labels), str((protection and protection.of(wire.column.name)) or ""),
            )
            for wire in captured.columns
        ],
        new=new,
    )  # fmt: skip


@contextmanager
def _decoding(kind: EventType) -> Iterator[None]:
    """Around what reads bytes of the binlog: whatever it stumbles over is damage."""
    try:
        yield
    except TidemarkError:
        raise
    except (IndexError, KeyError, ValueError, struct.error) as error:
        raise UndecodableError(f"the event {type_name(kind)} cannot be decoded: {error!r}") from error
