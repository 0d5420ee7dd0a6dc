"""The portable engine's core: binlog events in, batches out. No I/O."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from cdc.source.capture import Captured, Tables
from cdc.source.envelope import Envelope, Origin, Seq
from cdc.source.losses import Losses
from cdc.source.query import Query, parse_query
from cdc.source.refusal import incident, rolled_back, statement_format, unsupported, xa_rows
from cdc.source.rows import NO_TABLE, OPS, parse_head
from cdc.source.seam import Batch, Ddl, Record, Router
from cdc.source.sql import NEWEST
from cdc.source.statement import Kind, Statement, classify
from cdc.source.table_changes import TableChanges
from cdc.source.transaction import Coordinates, Skip, Transaction, is_behind
from cdc.source.wire import (
    ARTIFICIAL_FLAG,
    IGNORABLE_FLAG,
    Event,
    EventType,
    has_checksum,
    parse_event,
    parse_format_description,
    parse_gtid,
    parse_rotate,
    parse_xa_prepare,
    type_name,
)
from schemas.errors import TidemarkError, UndecodableError
from schemas.position import GtidSet, Position
from schemas.table import Table

FARTHEST_START = (1 << 32) - 1
_XA_KNOWN = 10_000
_FILE_EVENTS = (EventType.ROTATE, EventType.FORMAT_DESCRIPTION)
_XA_OUTCOME = re.compile(r"\s*XA\s+(COMMIT|ROLLBACK)\s+(\S+)", re.IGNORECASE)
_NOTHING_TO_DO = (
    EventType.FORMAT_DESCRIPTION, EventType.STOP, EventType.IGNORABLE, EventType.ROWS_QUERY, EventType.PREVIOUS_GTIDS,
    EventType.TRANSACTION_CONTEXT, EventType.VIEW_CHANGE, EventType.HEARTBEAT_V2,
    # The statement that these belong to decides.
    EventType.INTVAR, EventType.RAND, EventType.USER_VAR,
    EventType.BEGIN_LOAD_QUERY, EventType.APPEND_BLOCK, EventType.DELETE_FILE,
)  # fmt: skip


def _nothing(_event: Event) -> None:
    """An event that changes nothing for us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a batch is full, and what an event may weigh."""

    batch_events: int
    batch_bytes: int
    event_bytes: int


class Decoder:
    """Takes events one by one and gives batches: full ones at once, what is left when asked.

    `known`: the latest published layouts. `versions`: the highest versions given out, kept over reconnects.
    `no_gtid_before`: whether an empty GTID set is all there was before the position, and not merely unknown; asked
    when the first transaction ends.
    """

    def __init__(
        self,
        *,
        name: str,
        router: Router,
        known: Mapping[str, Table],
        versions: dict[str, int],
        position: Position,
        limits: Limits,
        clock: Callable[[], float],
        fold_names: Callable[[], bool],
        no_gtid_before: Callable[[], bool] = lambda: False,
    ) -> None:
        self._name = name
        self._limits = limits
        self._clock = clock
        self._gtids = GtidSet(position.gtid_set)
        self._no_gtid_before = no_gtid_before
        self._first = not position.gtid_set
        self._server_uuid = position.server_uuid
        self._partitions = position.partitions
        self._resumable = self._given = (position.file, position.pos)
        # A dump cannot be asked to start past 4 GiB: then it starts at the file's beginning, and this much is passed.
        self._pass_until = position.pos if not position.gtid_set and position.pos > FARTHEST_START else 0
        self._at = Coordinates(position.file, position.pos)
        self._seq = Seq(position.seq)
        self._skip = Skip(position.open)
        self._tables = Tables(router, known, versions)
        self._changes = TableChanges(router, self._tables, self._seq, fold_names=fold_names)
        self._router = router
        self._transaction: Transaction | None = None
        self._prepared: set[str] = set()
        self._checksum: bool | None = None  # unknown until the first FORMAT_DESCRIPTION
        self._version = NEWEST
        self._losses = Losses()
        self._records: list[Record] = []
        self._rows_taken = self._bytes = self._commit_us = 0
        self._moved = False
        self._handlers: Mapping[int, Callable[[Event], Iterator[Batch] | None]] = {
            EventType.QUERY: self._query,
            EventType.EXECUTE_LOAD_QUERY: self._load_query,
            EventType.ROTATE: self._rotate,
            EventType.XID: self._commit,
            EventType.TABLE_MAP: self._table_map,
            EventType.GTID: self._gtid,
            EventType.ANONYMOUS_GTID: self._gtid,
            EventType.XA_PREPARE: self._xa_prepare,
            EventType.HEARTBEAT: self._heartbeat,
            EventType.PARTIAL_UPDATE_ROWS: self._partial_rows,
            EventType.INCIDENT: self._incident,
            **dict.fromkeys(OPS, self._rows),
            **dict.fromkeys(_NOTHING_TO_DO, _nothing),
        }
        self.idle = False

    @property
    def at_boundary(self) -> bool:
        """True between two transactions."""
        return self._transaction is None

    @property
    def pending(self) -> bool:
        """True if there is something to publish."""
        return bool(self._records)

    def feed(self, raw: bytes) -> Iterator[Batch]:
        """One event, as it comes after the packet's OK byte. Errors say where they happened."""
        try:
            event = self._event(raw)
            self._at.advance(event)
            if self._at.end <= self._pass_until and event.type not in _FILE_EVENTS:
                return
            handler = self._handlers.get(event.type)
            if handler is None:
                if event.flags & IGNORABLE_FLAG:
                    return
                raise unsupported(event.type)
            yield from handler(event) or ()
        except TidemarkError as error:
            error.where = error.where or self._where()
            raise
        except (IndexError, ValueError, struct.error) as error:
            what = f"the event {type_name(raw[4])} cannot be decoded: {error!r}"
            raise UndecodableError(what, where=self._where()) from error

    def take(self) -> Batch | None:
        """What has been gathered, or a moved position; None if there is neither, or a transaction is open."""
        moved = self._moved or self._resumable != self._given
        if self.at_boundary and (self._records or self._tables.new or moved):
            return self._batch()
        return None

    def _event(self, raw: bytes) -> Event:
        if raw[4] == EventType.FORMAT_DESCRIPTION:
            event = parse_event(raw, checksum=has_checksum(raw))
            found = parse_format_description(raw)
            self._checksum, self._version = found.checksum, found.version
            self._tables.forget()
            return event
        if self._checksum is None:  # the fake ROTATE that comes first
            return parse_event(raw, checksum=has_checksum(raw))
        return parse_event(raw, checksum=self._checksum)

    def _where(self) -> str:
        gtid = self._transaction.gtid if self._transaction else ""
        return f"{self._at}, transaction {gtid}" if gtid else str(self._at)

    # Transactions

    def _gtid(self, event: Event) -> None:
        found = parse_gtid(event.body, anonymous=event.type == EventType.ANONYMOUS_GTID)
        self._begin(found.text, found.commit_us or event.timestamp * 1_000_000)

    def _begin(self, gtid: str, commit_us: int) -> Transaction:
        self._skip.begin(gtid)
        self._transaction = Transaction(gtid, commit_us, str(self._at))
        return self._transaction

    def _current(self, event: Event) -> Transaction:
        return self._transaction or self._begin("", event.timestamp * 1_000_000)

    def _commit(self, _event: Event) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            self._skip.finish(transaction.event)
            self._executed(transaction.gtid)
            if transaction.captured:
                self._commit_us = max(self._commit_us, transaction.commit_us)
        self._tables.forget()
        self._resumable = (self._at.file, self._at.end)

    def _executed(self, gtid: str) -> None:
        # Begun by file in mid-history, it stays so: a set without a beginning would ask for all of it again.
        first, self._first = self._first, False
        if gtid and (self._gtids or (first and self._no_gtid_before())):
            self._gtids.add(gtid)
            self._moved = True

    def _pass(self, file: str, pos: int) -> None:
        """Nothing of interest up to there. Asked by GTID, the dump goes over what is long done: that is no move."""
        if self._transaction is None and not is_behind((file, pos), self._resumable):
            self._resumable = (file, pos)

    def _xa_prepare(self, event: Event) -> None:
        one_phase, xid = parse_xa_prepare(event.body)
        if not one_phase and len(self._prepared) < _XA_KNOWN:
            self._prepared.add(xid)
        self._commit(event)

    # Files

    def _rotate(self, event: Event) -> None:
        file, pos = parse_rotate(event.body)
        if event.flags & ARTIFICIAL_FLAG:  # made up by the dump thread to name the file; nothing was read
            self._breathe()
            if file != self._at.file or pos < self._at.end:
                self._at.rotate(file, pos)
        else:
            self._at.rotate(file, pos)
            self._pass(file, pos)
        self._tables.forget()

    def _heartbeat(self, event: Event) -> None:
        """Nothing was logged for a while, or what was is in our GTID set: all up to there has been read."""
        self._breathe()
        file = event.body.decode()
        if event.log_pos and not (file == self._at.file and event.log_pos < self._at.end):
            self._at.rotate(file, event.log_pos)
            self._pass(file, event.log_pos)

    def _breathe(self) -> None:
        """The stream flows though nothing comes: a batch says so, even where the position has not moved."""
        self.idle = self._moved = True

    # Rows

    def _table_map(self, event: Event) -> None:
        self._tables.map(event.body)

    def _partial_rows(self, event: Event) -> None:
        transaction = self._current(event)
        if self._tables.of(parse_head(event).table_id) is not None:
            raise unsupported(event.type)
        transaction.event += 1

    def _rows(self, event: Event) -> Iterator[Batch]:
        head = parse_head(event)
        transaction = self._current(event)
        captured = self._tables.of(head.table_id) if head.table_id != NO_TABLE else None
        published = self._skip.rows(transaction.event)
        if captured is not None:
            if transaction.xa:
                raise xa_rows(captured.table.full_name)
            transaction.captured = True
            yield from self._captured_rows(event, head.at, captured, transaction, published)
        transaction.event += 1
        transaction.row = 0
        if head.statement_end:
            self._tables.forget()

    def _captured_rows(
        self, event: Event, at: int, captured: Captured, transaction: Transaction, published: int | None
    ) -> Iterator[Batch]:
        op = OPS[event.type]
        origin = self._origin(event, transaction)
        envelope = Envelope(captured, origin, self._seq, self._limits.event_bytes, self._losses)
        for number, change in enumerate(captured.rows.rows(event.body, at, op)):
            if published is None or number < published:
                envelope.pass_over(change, op)
                continue
            self._add(envelope.records(change, number, op))
            self._rows_taken += 1
            transaction.row = number + 1
            if self._rows_taken >= self._limits.batch_events or self._bytes >= self._limits.batch_bytes:
                yield self._batch()

    def _origin(self, event: Event, transaction: Transaction) -> Origin:
        return Origin(self._name, event.server_id, self._at, transaction, int(self._clock() * 1_000_000))

    def _add(self, records: Iterator[Record]) -> None:
        for record in records:
            self._records.append(record)
            self._bytes += len(record.key) + (len(record.value) if record.value is not None else 0)

    # Statements

    def _load_query(self, event: Event) -> None:
        self._text_change(parse_query(event.body, load=True), event)

    def _query(self, event: Event) -> Iterator[Batch] | None:
        query = parse_query(event.body)
        statement = classify(query, self._version)
        transaction = self._current(event)
        transaction.thread = query.thread
        kind = statement.kind
        if kind in (Kind.BEGIN, Kind.XA_START):
            transaction.begun, transaction.xa = True, kind is Kind.XA_START
        elif kind is Kind.CHANGE:
            self._text_change(query, event)
        elif kind is Kind.ROLLBACK_TO or kind is Kind.ROLLBACK:
            self._rollback(event, transaction, ends=kind is Kind.ROLLBACK)
        elif kind is Kind.COMMIT:
            self._commit(event)
        elif kind is Kind.XA_OUTCOME:
            self._xa_outcome(query, event)
        elif kind is not Kind.XA_END:
            return self._table_change(event, query, statement, transaction)
        return None

    def _rollback(self, event: Event, transaction: Transaction, *, ends: bool) -> None:
        if transaction.captured:
            raise rolled_back()
        if ends:
            self._commit(event)

    def _xa_outcome(self, query: Query, event: Event) -> None:
        outcome = _XA_OUTCOME.match(query.text)
        if outcome and outcome[1].upper() == "COMMIT" and outcome[2] not in self._prepared:
            raise unsupported(EventType.XA_PREPARE)
        self._prepared.discard(outcome[2] if outcome else "")
        self._commit(event)

    def _text_change(self, query: Query, event: Event) -> None:
        statement = classify(query, self._version)
        if not self._changes.provably_elsewhere(query, statement):
            raise statement_format(query.text)
        self._current(event).thread = query.thread

    def _table_change(
        self, event: Event, query: Query, statement: Statement, transaction: Transaction
    ) -> Iterator[Batch]:
        repeated = self._skip.covers(transaction.event)
        origin = self._origin(event, transaction)
        ddl = self._changes.ddl(query, statement, origin)
        if ddl is not None and not repeated:
            self._add(self._changes.barriers(statement, origin))
        if not transaction.begun:  # a statement of its own is a transaction of its own
            self._commit(event)
        if ddl is not None and not repeated:
            yield self._batch(ddl)

    def _incident(self, _event: Event) -> None:
        raise incident()

    # Batches

    def _start_batch(self) -> None:
        self._records = []
        self._rows_taken = self._bytes = self._commit_us = 0
        self._moved = False
        self._given = self._resumable

    def _batch(self, ddl: Ddl | None = None) -> Batch:
        commit_us = max(self._commit_us, self._transaction.commit_us if self._transaction and self._records else 0)
        batch = Batch(
            records=self._records,
            position=self._position(),
            tables=tuple(self._tables.new),
            ddl=ddl,
            rows=self._rows_taken,
            size_bytes=self._bytes,
            commit_ts_ms=commit_us // 1000,
            losses=self._losses.take(),
        )
        self._tables.new.clear()
        self._start_batch()
        return batch

    def _position(self) -> Position:
        used = {record.topic for record in self._records} - self._partitions.keys()
        if used:
            self._partitions = {**self._partitions, **{topic: self._router.partitions(topic) for topic in sorted(used)}}
        file, pos = self._resumable
        return Position(
            gtid_set=str(self._gtids),
            file=file,
            pos=pos,
            server_uuid=self._server_uuid,
            seq=self._seq.value,
            open=self._skip.pending or (self._transaction.open() if self._transaction else None),
            partitions=self._partitions,
        )
