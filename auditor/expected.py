"""What the topic expects: the last operation of every key, with count and fp sum of each partition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial

from auditor.axis import Axis, by_offset
from auditor.columns import Columns
from auditor.kept import Kept
from auditor.op import Barrier
from auditor.repeated import Repeated
from auditor.search import KEY, Range, Total
from auditor.sort import sort
from auditor.store import Store
from schemas.key import document_id

_TYPES = ("BLOB", "INTEGER", "BIGINT", "BIGINT", "UTINYINT", "BIGINT", "INTEGER")
_COLUMNS = 'key BLOB, partition INTEGER, "offset" BIGINT, seq BIGINT, op UTINYINT, ts_ms BIGINT, fp INTEGER'
_AT_ONCE_BYTES = 8 << 20
_LEFT_OUT_BYTES = 16 << 20  # of keys in a request
_LEFT_OUT_KEYS = 100_000  # each of them is asked for by its id

_DELETED = "(ascii('d'), ascii('t'))"
# seq is one number a source, except that a delete and its tombstone share it: both say the same.
_FOLDED = """
SELECT key, arg_max(partition, seq) AS partition, arg_max("offset", seq) AS "offset", max(seq) AS seq,
       arg_max(op, seq) AS op, arg_max(ts_ms, seq) AS ts_ms, arg_max(fp, seq) AS fp
FROM {ops} GROUP BY key
"""
_LAST = """
CREATE TABLE last AS
SELECT a.key, a.partition, a.fp,
       CASE WHEN a.seq < b.below THEN b."offset" ELSE a."offset" END AS "offset",
       CASE WHEN a.seq < b.below THEN b.below ELSE a.seq END AS seq,
       CASE WHEN a.seq < b.below THEN ascii('t') ELSE a.op END AS op,
       CASE WHEN a.seq < b.below THEN b.ts_ms ELSE a.ts_ms END AS ts_ms
FROM ({folded}) a LEFT JOIN barriers b ON b.partition = a.partition
"""
_SETTLED = '(SELECT o.* FROM ops o JOIN ends USING (partition) WHERE "offset" < high)'
_UNSETTLED = 'CREATE TABLE unsettled AS SELECT DISTINCT key FROM ops JOIN ends USING (partition) WHERE "offset" >= high'
_LIVE = f"CREATE VIEW live AS SELECT * FROM last ANTI JOIN unsettled USING (key) WHERE op NOT IN {_DELETED}"  # noqa: S608  constants
_GONE = f"CREATE TABLE gone AS SELECT key FROM last ANTI JOIN unsettled USING (key) WHERE op IN {_DELETED}"  # noqa: S608


class Expected:
    """Filled by one pass over the window (`add`), then sealed, then asked.

    Keys with an operation that the sink had not settled when the index was looked at are `unsettled`: their documents
    may show that operation or not, so they are left out of what is expected, and have to be left out of the index.
    `unsettled`: how many of them have a settled operation, too.
    """

    def __init__(
        self, store: Store, partitions: Sequence[int], kept: Kept | None = None, *, most_rows: int = 0
    ) -> None:
        """`kept`: what an interrupted audit had read is there at once, and what is read is put aside.

        `most_rows`: how many records will be added, about; 0 if that is not known.
        """
        self._store = store
        self._partitions = tuple(partitions)
        self._pending = Columns.empty()
        self._kept = kept
        self._roots: dict[Range, Total] = {}
        self.barriers: list[Barrier] = []  # the highest one of each partition
        self.deleted: dict[int, int] = {}
        self.newest_ts_ms: int | None = None
        self.unsettled = 0
        store.run(f"CREATE TABLE ops ({_COLUMNS})")
        self._barriers = kept.load(store) if kept else []
        [(rows,)] = store.run("SELECT count(*) FROM ops")
        self._repeated = Repeated(store, 0 if rows else most_rows)

    def add(self, ops: Columns) -> None:
        """One batch, in any order."""
        self._barriers += [Barrier(op.partition, op.offset, op.below, op.ts_ms) for op in ops.barriers]
        self._pending.extend(ops)
        if self._pending.size_bytes >= _AT_ONCE_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._store.insert("ops", _TYPES, self._pending.table)
        self._store.insert_packed("ops", _TYPES, self._pending.packed)
        self._repeated.note(self._pending)
        self._pending = Columns.empty()
        if self._kept is not None:
            self._kept.keep(self._store, self._barriers)

    def last_read(self) -> dict[int, int]:
        """Partition -> offset of its last record so far."""
        self._flush()
        found: dict[int, int] = dict(self._store.run('SELECT partition, max("offset") FROM ops GROUP BY partition'))
        for barrier in self._barriers:
            found[barrier.partition] = max(barrier.offset, found.get(barrier.partition, -1))
        return found

    def seal(self, settled: Mapping[int, int]) -> None:
        """Fold, apply the barriers, sum up. `settled`: partition -> offset from which on operations are unsettled.

        Unsettled keys that are too many to be asked for one by one are expected as of their last settled operation:
        then the search finds them where they are newer, and each is judged by what came later.
        """
        run = self._store.run
        over = any(offset >= settled[partition] for partition, offset in self.last_read().items())
        self._store_settled(settled)
        run(_UNSETTLED if over else "CREATE TABLE unsettled (key BLOB)")
        if self._repeated.told and not self.barriers:
            self._fold_repeated(over=over)
        else:
            run(_LAST.format(folded=_FOLDED.format(ops=_SETTLED if over else "ops")))
            run("DROP TABLE ops")
        run(_LIVE)
        [(count, size)] = run("SELECT count(*), coalesce(sum(octet_length(key)), 0) FROM unsettled")
        if count > _LEFT_OUT_KEYS or size > _LEFT_OUT_BYTES:
            run("DELETE FROM unsettled")
        [(self.unsettled,)] = run("SELECT count(*) FROM unsettled SEMI JOIN last USING (key)")
        deleted = f"SELECT partition, count(*) FROM last WHERE op IN {_DELETED} GROUP BY partition"  # noqa: S608
        self.deleted = dict(run(deleted))
        [(self.newest_ts_ms,)] = run("SELECT max(ts_ms) FROM last")
        self._sum_up()

    def _fold_repeated(self, *, over: bool) -> None:
        """Most rows are the last of their keys: they stay where they are."""
        run = self._store.run
        if over:
            run('DELETE FROM ops USING ends WHERE ends.partition = ops.partition AND "offset" >= high')
        if self._repeated.any:
            run(f"CREATE TABLE folded AS {_FOLDED.format(ops='ops SEMI JOIN repeated USING (key)')}")
            run("DELETE FROM ops WHERE key IN (SELECT key FROM repeated)")
            run("INSERT INTO ops BY NAME FROM folded")
            run("DROP TABLE folded")
        run("ALTER TABLE ops RENAME TO last")

    def _store_settled(self, settled: Mapping[int, int]) -> None:
        self._store.run("CREATE TABLE ends (partition INTEGER, high BIGINT)")
        self._store.insert("ends", ("INTEGER", "BIGINT"), [list(settled), list(settled.values())])
        known: dict[int, Barrier] = {}
        for barrier in self._barriers:
            other = known.get(barrier.partition)
            if barrier.offset < settled[barrier.partition] and (other is None or other.below < barrier.below):
                known[barrier.partition] = barrier
        self.barriers = list(known.values())
        self._store.run('CREATE TABLE barriers (partition INTEGER, "offset" BIGINT, below BIGINT, ts_ms BIGINT)')
        types = ("INTEGER", "BIGINT", "BIGINT", "BIGINT")
        self._store.insert("barriers", types, list(zip(*self.barriers, strict=True)))

    def _sum_up(self) -> None:
        rows = self._store.run("SELECT partition, count(*), sum(fp)::BIGINT FROM live GROUP BY partition")
        found = {partition: Total(keys, fp) for partition, keys, fp in rows}
        rank = 0
        for partition in self._partitions:
            total = found.get(partition, Total(0, 0))
            self._roots[Range(partition, rank, rank + total.docs)] = total
            rank += total.docs

    @property
    def roots(self) -> list[Range]:
        """One range a partition, keys or none."""
        return list(self._roots)

    @property
    def keys(self) -> int:
        """Keys whose document must be there."""
        return sum(root.size for root in self._roots)

    def size(self, partition: int) -> int:
        """Keys of one partition whose document must be there."""
        return sum(root.size for root in self._roots if root.partition == partition)

    @cached_property
    def by_offset(self) -> Axis:
        return by_offset(self._store, self._roots)

    @cached_property
    def by_key(self) -> Axis:
        return Axis(self._store, KEY, self._roots, partial(sort, self._store, self._partitions))

    def from_offsets(self, offsets: Mapping[int, int]) -> int:
        """How many keys have their last operation at or past these offsets (partition -> offset, absent: 0)."""
        found = self._store.run(
            "SELECT count(*) FROM last LEFT JOIN (SELECT unnest($1::INTEGER[]) AS p, unnest($2::BIGINT[]) AS low) "
            'ON p = partition WHERE "offset" >= coalesce(low, 0)',
            [list(offsets), list(offsets.values())],
        )
        return int(found[0][0])

    def unsettled_keys(self) -> list[str]:
        return [key.decode() for (key,) in self._store.run("SELECT key FROM unsettled ORDER BY key")]

    def gone(self, chunk: int) -> Iterator[list[str]]:
        """Keys whose last operation leaves no document, in chunks."""
        self._store.run("DROP TABLE IF EXISTS gone")
        self._store.run(_GONE)
        [(count,)] = self._store.run("SELECT count(*) FROM gone")
        for start in range(0, count, chunk):
            rows = self._store.run("SELECT key FROM gone WHERE rowid >= $1 AND rowid < $2", [start, start + chunk])
            yield [key.decode() for (key,) in rows]


def hashed(key: str) -> bytes | None:
    """The document id where it is not the key itself."""
    made = document_id(key)
    return None if made == key else made.encode()
