"""The portable engine's core: binlog events in, batches out. No I/O."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping

from cdc.source.capture import Captured, Tables
from cdc.source.envelope import Envelope, Origin, Seq
from cdc.source.losses import Losses
from cdc.source.options import Limits
from cdc.source.prepared import Prepared
from cdc.source.progress import Progress
from cdc.source.protection import UNPROTECTED, Protections
from cdc.source.query import Query, parse_query
from cdc.source.refusal import incident, rolled_back, statement_format, unfinished, unsupported, xa_rows
from cdc.source.rows import NO_TABLE, OPS, parse_head
from cdc.source.seam import Batch, Ddl, Record, Router
from cdc.source.sql import NEWEST
from cdc.source.statement import Kind, Statement, classify
from cdc.source.table_changes import TableChanges
from cdc.source.transaction import Skip, Transaction
from cdc.source.wire import (
    ARTIFICIAL_FLAG,
    IGNORABLE_FLAG,
    Event,
    EventType,
    has_checksum,
    is_checked,
    parse_event,
    parse_format_description,
    parse_gtid,
    type_name,
)
from schemas.errors import TidemarkError, UndecodableError
from schemas.position import Position
from schemas.table import Table

_NOTHING_TO_DO = (
    EventType.STOP, EventType.IGNORABLE, EventType.ROWS_QUERY, EventType.PREVIOUS_GTIDS,
    EventType.TRANSACTION_CONTEXT, EventType.VIEW_CHANGE, EventType.HEARTBEAT_V2,
    # The statement that these belong to decides.
    EventType.INTVAR, EventType.RAND, EventType.USER_VAR,
    EventType.BEGIN_LOAD_QUERY, EventType.APPEND_BLOCK, EventType.DELETE_FILE,
)  # fmt: skip


def _nothing(_event: Event) -> None:
    """An event that changes nothing for us."""


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
        protections: Protections = UNPROTECTED,
    ) -> None:
        self._name = name
        self._limits = limits
        self._clock = clock
        self._progress = Progress(position, no_gtid_before)
        self._server_uuid = position.server_uuid
        self._partitions = position.partitions
        self._seq = Seq(position.seq)
        self._skip = Skip(position.open)
        self._tables = Tables(router, known, versions, protections)
        self._changes = TableChanges(
            router,
            self._tables,
            self._seq,
            fold_names=fold_names,
            version=lambda: self._version,
            protections=protections,
        )
        self._router = router
        self._transaction: Transaction | None = None
        self._prepared = Prepared("portable")
        self._checksum: bool | None = None  # unknown until the first FORMAT_DESCRIPTION
        self._described = False  # by the latest event
        self._version = NEWEST
        self._losses = Losses()
        self._records: list[Record] = []
        self._rows_taken = self._bytes = self._commit_us = 0
        self._handlers: Mapping[int, Callable[[Event], Iterator[Batch] | None]] = {
            EventType.QUERY: self._query,
            EventType.EXECUTE_LOAD_QUERY: self._load_query,
            EventType.FORMAT_DESCRIPTION: self._check_finished,
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
            if self._progress.advance(event):
                return
            handler = self._handlers.get(event.type)
            if handler is None:
                if event.flags & IGNORABLE_FLAG:
                    return
                raise unsupported(event.type)
            yield from handler(event) or ()
        except TidemarkError as error:
            error.where = error.where or self.where()
            raise
        except (IndexError, ValueError, struct.error) as error:
            what = f"the event {type_name(raw[4])} cannot be decoded: {error!r}"
            raise UndecodableError(what, where=self.where()) from error

    def take(self) -> Batch | None:
        """What has been gathered, or a moved position; None if there is neither, or a transaction is open."""
        if self.at_boundary and (self._records or self._tables.new or self._progress.moved):
            return self._batch()
        return None

    def interim(self) -> Batch | None:
        """What has been gathered of an open transaction, be it nothing: a sign of life where no batch is due."""
        return None if self.at_boundary else self._batch()

    def _event(self, raw: bytes) -> Event:
        if raw[4] == EventType.FORMAT_DESCRIPTION:
            event = parse_event(raw, checksum=has_checksum(raw))
            found = parse_format_description(raw)
            self._checksum, self._version = found.checksum, found.version
            self._described = True
            self._tables.forget()
            return event
        checked = is_checked(raw, said=self._checksum, first=self._described)
        self._described = False
        return parse_event(raw, checksum=checked)

    def where(self) -> str:
        """Where the latest event is, for messages."""
        gtid = self._transaction.gtid if self._transaction else ""
        return f"{self._progress.at}, transaction {gtid}" if gtid else str(self._progress.at)

    # Transactions

    def _check_finished(self, event: Event) -> None:
        """What begins a file or a transaction must not come inside a transaction; the dump thread's own events may."""
        made_up = event.flags & ARTIFICIAL_FLAG or not event.log_pos
        if self._transaction and self._transaction.captured and not made_up:
            raise unfinished()

    def _gtid(self, event: Event) -> None:
        self._check_finished(event)
        found = parse_gtid(event.body, anonymous=event.type == EventType.ANONYMOUS_GTID)
        self._begin(found.text, found.commit_us or event.timestamp * 1_000_000)

    def _begin(self, gtid: str, commit_us: int) -> Transaction:
        self._skip.begin(gtid)
        self._transaction = Transaction(gtid, commit_us, str(self._progress.at))
        return self._transaction

    def _current(self, event: Event) -> Transaction:
        return self._transaction or self._begin("", event.timestamp * 1_000_000)

    def _commit(self, _event: Event) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            self._skip.finish(transaction.event)
            self._progress.executed(transaction.gtid)
            if transaction.captured:
                self._commit_us = max(self._commit_us, transaction.commit_us)
        self._tables.forget()
        self._progress.settle()

    def _xa_prepare(self, event: Event) -> None:
        self._prepared.add(event.body)
        self._commit(event)

    # Files

    def _rotate(self, event: Event) -> None:
        self._check_finished(event)
        if self._progress.rotate(event, between=self.at_boundary):
            self._breathe()
        self._tables.forget()

    def _heartbeat(self, event: Event) -> None:
        self._breathe()
        self._progress.heartbeat(event, between=self.at_boundary)

    def _breathe(self) -> None:
        self.idle = True
        self._progress.breathe()

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
        return Origin(self._name, event.server_id, self._progress.at, transaction, int(self._clock() * 1_000_000))

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
            self._check_finished(event)
            transaction.begun, transaction.xa = True, kind is Kind.XA_START
        elif kind is Kind.CHANGE:
            self._text_change(query, event)
        elif kind is Kind.ROLLBACK_TO or kind is Kind.ROLLBACK:
            self._rollback(event, transaction, ends=kind is Kind.ROLLBACK)
        elif kind is Kind.COMMIT:
            self._commit(event)
        elif kind is Kind.XA_OUTCOME:
            self._prepared.settle(query)
            self._commit(event)
        elif kind is not Kind.XA_END:
            return self._table_change(event, query, statement, transaction)
        return None

    def _rollback(self, event: Event, transaction: Transaction, *, ends: bool) -> None:
        if transaction.captured:
            raise rolled_back()
        if ends:
            self._commit(event)

    def _text_change(self, query: Query, event: Event) -> None:
        statement = classify(query, self._version)
        if not self._changes.provably_elsewhere(query, statement):
            raise statement_format(self._changes.text(query))
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
        gtid_set, file, pos = self._progress.give()
        return Position(
            gtid_set=gtid_set,
            file=file,
            pos=pos,
            server_uuid=self._server_uuid,
            seq=self._seq.value,
            open=self._skip.pending or (self._transaction.open() if self._transaction else None),
            partitions=self._partitions,
        )
