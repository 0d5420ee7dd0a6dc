"""One operation on a key, as a record of the topic tells it."""

from __future__ import annotations

from typing import NamedTuple

UPSERTS = ("c", "u", "r")
DELETE = "d"
BARRIER = "t"


class Op(NamedTuple):
    """One record. `key`: the row key's text, empty for a barrier; `ts_ms`: commit time; `below`: a barrier's limit."""

    key: str
    partition: int
    offset: int
    seq: int
    op: str
    ts_ms: int
    below: int = 0

    @property
    def present(self) -> bool:
        """True if the key has a document after this operation."""
        return self.op in UPSERTS


class Barrier(NamedTuple):
    """Everything of the table with a seq lower than `below` is gone, once this record of a partition is applied."""

    partition: int
    offset: int
    below: int
    ts_ms: int
