"""A batch of a topic's records as columns: what the audit needs of each, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from auditor.op import BARRIER, Op
from schemas.document import fingerprint_of

_ROW_BYTES = 300


class Columns(NamedTuple):
    """As many entries in each. `keys`: row keys in UTF-8; `ops`: letters as numbers; `fps`: 0 where no row is left.

    Barriers are in none of the columns.
    """

    keys: list[bytes]
    partitions: list[int]
    offsets: list[int]
    seqs: list[int]
    ops: list[int]
    times_ms: list[int]
    fps: list[int]
    barriers: list[Op]

    @classmethod
    def empty(cls) -> Columns:
        return cls([], [], [], [], [], [], [], [])

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

    @property
    def table(self) -> list[list[Any]]:
        """The columns without the barriers."""
        return list(self[:-1])

    @property
    def size_bytes(self) -> int:
        """Roughly, in memory."""
        return sum(map(len, self.keys)) + _ROW_BYTES * len(self.keys)
