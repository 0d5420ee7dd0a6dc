"""Row changes to Kafka records. What the rows of one event share is encoded once; each row adds its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import orjson

from cdc.source.capture import Captured
from cdc.source.losses import Losses
from cdc.source.rows import RowChange, RowOp, Values
from cdc.source.seam import LossKind, Record
from cdc.source.transaction import Coordinates, Transaction
from schemas.event import CONNECTOR, NEW_KEY_HEADER, OLD_KEY_HEADER, SEQ_HEADER, VERSION
from schemas.key import BARRIER_KEY
from schemas.position import SEQ_STEP
from schemas.table import Table

_OPS = ("c", "u", "d")


class Seq:
    """The highest seq given out."""

    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        self.value = value

    def next(self) -> int:
        self.value += SEQ_STEP
        return self.value


class Origin(NamedTuple):
    """What all events of one binlog event have in common."""

    name: str
    server_id: int
    at: Coordinates
    transaction: Transaction
    captured_us: int

    def source(self, db: str, table: str, version: int) -> tuple[bytes, bytes]:
        """The `source` object up to `row`, and from there up to `seq`."""
        commit_us = self.transaction.commit_us
        head = orjson.dumps(
            {
                "version": VERSION, "connector": CONNECTOR, "name": self.name,
                "ts_ms": commit_us // 1000, "ts_us": commit_us, "snapshot": "false",
                "db": db, "table": table, "table_version": version,
                "server_id": self.server_id, "gtid": self.transaction.gtid or None,
                "file": self.at.file, "pos": self.at.start,
            }
        )  # fmt: skip
        return head[:-1] + b',"row":', b',"thread":%d,"seq":' % self.transaction.thread


_Headers = tuple[tuple[str, bytes], ...]
_Numbers = tuple[int, int, int]  # seq, total_order, data_collection_order


class _Row(NamedTuple):
    number: int
    op: RowOp
    before: Values | None
    after: Values | None
    undecodable: tuple[str, ...]


class Envelope:
    """Makes the records of one rows event. `losses` is told what they cannot carry as it was."""

    def __init__(self, captured: Captured, origin: Origin, seq: Seq, max_event_bytes: int, losses: Losses) -> None:
        table = captured.table
        self._captured = captured
        self._table = table.full_name
        self._topic = table.topic
        self._seq = seq
        self._limit = max_event_bytes
        self._losses = losses
        self._transaction = origin.transaction
        self._source, self._thread = origin.source(table.db, table.name, table.version)
        self._id = b'},"transaction":{"id":%b,"total_order":' % orjson.dumps(origin.transaction.id)
        times = (origin.captured_us // 1000, origin.captured_us)
        self._ends = {op: b'},"op":"%b","ts_ms":%d,"ts_us":%d}' % (op.encode(), *times) for op in _OPS}

    def records(self, change: RowChange, number: int, op: RowOp) -> Iterator[Record]:
        """One row change as records: one, two with the tombstone of a delete, three if its key changed."""
        row = _Row(number, op, *change)
        if row.undecodable:
            self._losses.add(LossKind.UNDECODABLE, self._table, row.undecodable)
        if op == "u":
            old_key, key = self._captured.key(row.before or {}), self._captured.key(row.after or {})
            if old_key != key:
                yield from self._delete(old_key, row._replace(op="d", after=None), ((NEW_KEY_HEADER, key),))
                yield self._record(key, row._replace(op="c", before=None), ((OLD_KEY_HEADER, old_key),))
            else:
                yield self._record(key, row)
        elif op == "d":
            yield from self._delete(self._captured.key(row.before or {}), row)
        else:
            yield self._record(self._captured.key(row.after or {}), row)

    def pass_over(self, change: RowChange, op: RowOp) -> None:
        """Count a row that was published before an interruption."""
        self._transaction.count(self._table)
        if op == "u" and self._captured.key(change.before or {}) != self._captured.key(change.after or {}):
            self._transaction.count(self._table)

    def _delete(self, key: bytes, row: _Row, headers: _Headers = ()) -> Iterator[Record]:
        deleted = self._record(key, row, headers)
        yield deleted
        yield Record(self._topic, deleted.partition, key, None, ((SEQ_HEADER, b"%d" % self._seq.value),))

    def _record(self, key: bytes, row: _Row, headers: _Headers = ()) -> Record:
        numbers = (self._seq.next(), *self._transaction.count(self._table))
        value = self._value(row, numbers)
        if len(value) > self._limit:
            value = self._smaller(row, numbers, len(value) - self._limit)
        return Record(self._topic, self._captured.partition(key), key, value, headers)

    def _smaller(self, row: _Row, numbers: _Numbers, excess: int) -> bytes:
        value = b""
        omitted: tuple[str, ...] = ()
        for omitted in _omissions(row, self._captured.table.primary_key, excess):
            smaller = row._replace(before=_without(row.before, omitted), after=_without(row.after, omitted))
            value = self._value(smaller, numbers, omitted)
            if len(value) <= self._limit:
                break
        self._losses.add(LossKind.OMITTED, self._table, omitted)
        return value

    def _value(self, row: _Row, numbers: _Numbers, omitted: tuple[str, ...] = ()) -> bytes:
        seq, total_order, order = numbers
        notes = b""
        if row.undecodable:
            notes += b',"undecodable":' + orjson.dumps(row.undecodable)
        if omitted:
            notes += b',"omitted":' + orjson.dumps(omitted)
        return b'{"before":%b,"after":%b,"source":%b%d%b%d%b%b%d,"data_collection_order":%d%b' % (
            orjson.dumps(row.before), orjson.dumps(row.after), self._source, row.number, self._thread, seq, notes,
            self._id, total_order, order, self._ends[row.op],
        )  # fmt: skip


def _omissions(row: _Row, key: tuple[str, ...], excess: int) -> Iterator[tuple[str, ...]]:
    """Ever more columns to leave out, the largest first, beginning with as many as should do."""
    sizes: dict[str, int] = {}
    for image in (row.before or {}, row.after or {}):
        for name, value in image.items():
            sizes[name] = sizes.get(name, 0) + len(orjson.dumps(value))
    left_out: tuple[str, ...] = ()
    for name in sorted(sizes.keys() - set(key), key=lambda name: (-sizes[name], name)):
        left_out = (*left_out, name)
        excess -= sizes[name]
        if excess <= 0:
            yield left_out
    yield left_out


def _without(image: Values | None, omitted: tuple[str, ...]) -> Values | None:
    return image and {name: value for name, value in image.items() if name not in omitted}


def barrier(origin: Origin, seq: int, *, table: Table, partitions: int) -> list[Record]:
    """A barrier in every partition of a table's topic: all of the table with a lower seq is gone."""
    row, thread = origin.source(table.db, table.name, table.version)
    value = b'{"op":"t","source":%b0%b%d},"below":%d}' % (row, thread, seq, seq)
    return [Record(table.topic, partition, BARRIER_KEY, value) for partition in range(partitions)]
