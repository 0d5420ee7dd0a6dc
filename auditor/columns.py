"""A batch of a topic's records as columns: what the audit needs of each, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from auditor.op import BARRIER, Op
from schemas.document import fingerprint_of

_ROW_BYTES = 300


class Packed(NamedTuple):
    """Rows of which no objects were made. `buffers`: the columns in the order of `Columns`, as Arrow has them.

    A number has four bytes in partitions and fps, one in ops, else eight; of keys there are two buffers, where they
    begin and end, and their texts.
    """

    rows: int
    buffers: tuple[bytes, ...]

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.buffers))


class Columns(NamedTuple):
    """As many entries in each. `keys`: row keys in UTF-8; `ops`: letters as numbers; `fps`: 0 where no row is left.

    Barriers are in none of the columns, and rows that are packed only there.
    """

    keys: list[bytes]
    partitions: list[int]
    offsets: list[int]
    seqs: list[int]
    ops: list[int]
    times_ms: list[int]
    fps: list[int]
    barriers: list[Op]
    packed: list[Packed]

    @classmethod
    def empty(cls) -> Columns:
        return cls([], [], [], [], [], [], [], [], [])

    @classmethod
    def of(cls, ops: Iterable[Op]) -> Columns:
        made = cls.empty()
        for op in ops:
            made.add(op)
        return made

    def add(self, op: Op) -> None:
        if op.op == BARRIER:
            self.barriers.append(op)
            return
        key = op.key.encode()
        self.keys.append(key)
        self.partitions.append(op.partition)
        self.offsets.append(op.offset)
        self.seqs.append(op.seq)
        self.ops.append(ord(op.op))
        self.times_ms.append(op.ts_ms)
        self.fps.append(fingerprint_of(key, op.partition, op.offset) if op.present else 0)

    def extend(self, other: Columns) -> None:
        """Append what the other has."""
        for mine, more in zip(self.table, other.table, strict=True):
            mine.extend(more)
        self.barriers.extend(other.barriers)
        self.packed.extend(other.packed)

    @property
    def table(self) -> list[list[Any]]:
        """The columns without barriers and packed rows."""
        return list(self[:-2])

    @property
    def size_bytes(self) -> int:
        """Roughly, in memory."""
        packed = sum(some.size_bytes for some in self.packed)
        return packed + sum(map(len, self.keys)) + _ROW_BYTES * len(self.keys)
