"""What came after the window: operations from H on, read as far as the topic goes, as often as asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from auditor.expected import hashed
from auditor.op import BARRIER, Barrier, Op
from auditor.store import Store
from auditor.topic import Topic
from schemas.watermark import Watermark

_TYPES = ("BLOB", "BLOB", "INTEGER", "BIGINT", "BIGINT", "VARCHAR", "BIGINT")


class Later:
    """Reads on from `start` (partition -> offset)."""

    def __init__(self, store: Store, topic: Topic, start: dict[int, int], barriers: Iterable[Barrier]) -> None:
        self._store = store
        self._topic = topic
        self._next = dict(start)
        self.barriers = list(barriers)
        store.run(
            "CREATE TABLE later "
            '(id BLOB, key BLOB, partition INTEGER, "offset" BIGINT, seq BIGINT, op VARCHAR, ts_ms BIGINT)'
        )

    def read_on(self) -> None:
        """Read everything that is committed by now."""
        ends = self._topic.ends(self._next)
        windows = [Watermark(partition=part, low=low, high=ends[part]) for part, low in self._next.items()]
        for ops in self._topic.read(windows):
            self._add(ops)
        self._next = {part: max(low, ends[part]) for part, low in self._next.items()}

    def _add(self, ops: Sequence[Op]) -> None:
        self.barriers += [Barrier(op.partition, op.offset, op.below, op.ts_ms) for op in ops if op.op == BARRIER]
        rows = [(hashed(op.key) or op.key.encode(), op.key.encode(), *op[1:6]) for op in ops if op.op != BARRIER]
        self._store.insert("later", _TYPES, list(zip(*rows, strict=True)))

    def of(self, ids: Sequence[str]) -> dict[str, list[Op]]:
        """Document id -> its key's operations, in the order of seq; ids without any are absent."""
        rows = self._store.run(
            'SELECT id, key, partition, "offset", seq, op, ts_ms FROM later '
            'WHERE id IN (SELECT unnest($1::BLOB[])) ORDER BY seq, "offset"',
            [[id_.encode() for id_ in ids]],
        )
        found: dict[str, list[Op]] = {}
        for id_, key, *rest in rows:
            found.setdefault(id_.decode(), []).append(Op(key.decode(), *rest))
        return found
