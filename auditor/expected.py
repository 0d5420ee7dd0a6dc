"""What the topic expects: the last operation of every key, sorted bytewise, with prefix sums of count and fp."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from auditor.op import BARRIER, Barrier, Op
from auditor.search import Range, Total
from auditor.sort import sort
from auditor.store import Store
from schemas.document import fingerprint
from schemas.key import document_id

_TYPES = ("BLOB", "BLOB", "INTEGER", "BIGINT", "BIGINT", "VARCHAR", "BIGINT", "BIGINT")
_COLUMNS = 'key BLOB, hashed BLOB, partition INTEGER, "offset" BIGINT, seq BIGINT, op VARCHAR, ts_ms BIGINT, fp BIGINT'

# seq is one number a source, except that a delete and its tombstone share it: both say the same.
_LAST = """
CREATE TABLE last AS
SELECT a.key, a.hashed, a.partition, a.fp,
       CASE WHEN a.seq < b.below THEN b."offset" ELSE a."offset" END AS "offset",
       CASE WHEN a.seq < b.below THEN b.below ELSE a.seq END AS seq,
       CASE WHEN a.seq < b.below THEN 't' ELSE a.op END AS op,
       CASE WHEN a.seq < b.below THEN b.ts_ms ELSE a.ts_ms END AS ts_ms
FROM (SELECT key, any_value(hashed) AS hashed, arg_max(partition, seq) AS partition,
             arg_max("offset", seq) AS "offset", max(seq) AS seq, arg_max(op, seq) AS op,
             arg_max(ts_ms, seq) AS ts_ms, arg_max(fp, seq) AS fp
      FROM ops GROUP BY key) a
LEFT JOIN barriers b ON b.partition = a.partition
"""


class Bounds(NamedTuple):
    """A range as Elasticsearch is asked for it: keys `[low, high)`, None where it is open."""

    partition: int
    low: str | None
    high: str | None


class Place(NamedTuple):
    """Where the document of a key should come from."""

    offset: int
    fp: int


class Expected:
    """Filled by one pass over the window (`add`), then sealed, then asked."""

    def __init__(self, store: Store, partitions: Sequence[int]) -> None:
        self._store = store
        self._partitions = tuple(partitions)
        self._span: dict[int, Range] = {}
        self._total_fp = 0
        self._total = 0
        self.barriers: dict[int, Barrier] = {}
        self.last_read: dict[int, int] = {}  # partition -> offset of the last record read
        self.deleted: dict[int, int] = {}
        store.run(f"CREATE TABLE ops ({_COLUMNS})")

    def add(self, ops: Sequence[Op]) -> None:
        """One batch, in offset order within each partition."""
        rows = []
        for op in ops:
            self.last_read[op.partition] = op.offset
            if op.op == BARRIER:
                self._add_barrier(op)
                continue
            fp = fingerprint(op.key, op.partition, op.offset) if op.present else 0
            raw = op.key.encode()
            rows.append((raw, hashed(op.key), op.partition, op.offset, op.seq, op.op, op.ts_ms, fp))
        self._store.insert("ops", _TYPES, list(zip(*rows, strict=True)))

    def _add_barrier(self, op: Op) -> None:
        known = self.barriers.get(op.partition)
        if known is None or known.below < op.below:
            self.barriers[op.partition] = Barrier(op.partition, op.offset, op.below, op.ts_ms)

    def seal(self) -> None:
        """Fold, apply the barriers, sort, sum up."""
        run = self._store.run
        run('CREATE TABLE barriers (partition INTEGER, "offset" BIGINT, below BIGINT, ts_ms BIGINT)')
        self._store.insert(
            "barriers", ("INTEGER", "BIGINT", "BIGINT", "BIGINT"), list(zip(*self.barriers.values(), strict=True))
        )
        run(_LAST)
        run("DROP TABLE ops")
        self._span, self._total_fp = sort(self._store, self._partitions)
        self._total = max((part.high for part in self._span.values()), default=0)
        self.deleted = dict(run("SELECT partition, count(*) FROM last WHERE op IN ('d', 't') GROUP BY partition"))

    @property
    def roots(self) -> list[Range]:
        """One range a partition, keys or none."""
        return [self._root(partition) for partition in self._partitions]

    def _root(self, partition: int) -> Range:
        return self._span.get(partition, Range(partition, self._total, self._total))

    @property
    def keys(self) -> int:
        """Keys whose document must be there."""
        return self._total

    @property
    def newest_ts_ms(self) -> int | None:
        """Commit time of the newest event; None if there is none."""
        [(newest,)] = self._store.run("SELECT max(ts_ms) FROM last")
        return None if newest is None else int(newest)

    def size(self, partition: int) -> int:
        """Keys of one partition whose document must be there."""
        return self._root(partition).size

    def from_offsets(self, offsets: Mapping[int, int]) -> int:
        """How many keys have their last operation at or past these offsets (partition -> offset, absent: 0)."""
        found = self._store.run(
            "SELECT count(*) FROM last LEFT JOIN (SELECT unnest($1::INTEGER[]) AS p, unnest($2::BIGINT[]) AS low) "
            'ON p = partition WHERE "offset" >= coalesce(low, 0)',
            [list(offsets), list(offsets.values())],
        )
        return int(found[0][0])

    def totals(self, ranges: Sequence[Range]) -> list[Total]:
        before = self._before({rank for part in ranges for rank in (part.low, part.high)})
        return [Total(part.size, before[part.high] - before[part.low]) for part in ranges]

    def _before(self, ranks: set[int]) -> dict[int, int]:
        """Sum of the fps of all lower ranks."""
        found = self._store.run(
            "SELECT rank, total - fp FROM live WHERE rank IN (SELECT unnest($1::BIGINT[]))", [sorted(ranks)]
        )
        return {self._total: self._total_fp} | {rank: int(total) for rank, total in found}

    def bounds(self, ranges: Sequence[Range]) -> list[Bounds]:
        """Keys for ranks; the outer ends of a partition are open, so that every document falls into one range."""
        ranks = sorted({rank for part in ranges for rank in (part.low, part.high)})
        found = self._store.run("SELECT rank, key FROM live WHERE rank IN (SELECT unnest($1::BIGINT[]))", [ranks])
        keys = {rank: key.decode() for rank, key in found}
        made = []
        for part in ranges:
            root = self._root(part.partition)
            low = None if part.low == root.low else keys[part.low]
            made.append(Bounds(part.partition, low, None if part.high == root.high else keys[part.high]))
        return made

    def places(self, ranges: Sequence[Range]) -> dict[tuple[int, str], Place]:
        """(partition, key) -> where its document should come from, for small ranges."""
        made: dict[tuple[int, str], Place] = {}
        for part in ranges:
            for key, offset, fp in self._store.run(
                'SELECT key, "offset", fp FROM live WHERE rank >= $1 AND rank < $2', [part.low, part.high]
            ):
                made[part.partition, key.decode()] = Place(offset, fp)
        return made

    def gone(self, chunk: int) -> Iterator[list[str]]:
        """Keys whose last operation leaves no document, in chunks."""
        self._store.run("CREATE TABLE IF NOT EXISTS gone AS SELECT key FROM last WHERE op IN ('d', 't')")
        for start in range(0, sum(self.deleted.values()), chunk):
            rows = self._store.run("SELECT key FROM gone WHERE rowid >= $1 AND rowid < $2", [start, start + chunk])
            yield [key.decode() for (key,) in rows]


def hashed(key: str) -> bytes | None:
    """The document id where it is not the key itself."""
    made = document_id(key)
    return None if made == key else made.encode()
