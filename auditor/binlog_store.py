"""Both sides of a comparison with the binlog, in the audit's store: a few numbers and texts a row change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from auditor.store import Store
from schemas.report import FindingClass

_COLUMNS = (
    "tx VARCHAR, tbl VARCHAR, row INTEGER, op VARCHAR, key BLOB, file VARCHAR, pos BIGINT, partition INTEGER, "
    '"offset" BIGINT, seq BIGINT, ts_ms BIGINT'
)
_TYPES = (
    "VARCHAR", "VARCHAR", "INTEGER", "VARCHAR", "BLOB", "VARCHAR", "BIGINT", "INTEGER", "BIGINT", "BIGINT", "BIGINT"
)  # fmt: skip

# What is the same on both sides is told apart by how often it has come before: a transaction may change a row twice.
_NUMBERED = """
CREATE TABLE {0}_numbered AS
SELECT *, row_number() OVER (PARTITION BY tx, tbl, row, op, key ORDER BY {1}) AS nth FROM {0}
"""
_DIFFERENT = """
CREATE TABLE different AS SELECT row_number() OVER () - 1 AS n, * FROM (
  SELECT CASE WHEN p.tx IS NULL THEN 'unpublished' WHEN p.nth > 1 AND EXISTS (
           SELECT 1 FROM logged_numbered o WHERE o.tx = p.tx AND o.tbl = p.tbl AND o.row = p.row AND o.op = p.op
             AND o.key = p.key) THEN 'duplicate' ELSE 'unlogged' END AS kind,
         coalesce(p.tx, l.tx) AS tx, coalesce(p.tbl, l.tbl) AS tbl, coalesce(p.row, l.row) AS row,
         coalesce(p.op, l.op) AS op, coalesce(p.key, l.key) AS key, coalesce(p.file, l.file) AS file,
         coalesce(p.pos, l.pos) AS pos, p.partition, p."offset", p.seq, p.ts_ms
  FROM logged_numbered l FULL JOIN published_numbered p
    ON l.tx = p.tx AND l.tbl = p.tbl AND l.row = p.row AND l.op = p.op AND l.key = p.key AND l.nth = p.nth
  LEFT JOIN begins b ON b.tbl = l.tbl
  WHERE (p.tx IS NULL AND l.n >= b.n) OR (l.tx IS NULL AND p.ts_ms >= $1))
"""
_READ = 'tx, tbl, row, op, key, file, pos, partition, "offset", seq, ts_ms'
_CHUNK = 1000


class Change(NamedTuple):
    """One row change of either side; `key`: the row key's text. Of the binlog's, `partition` to `seq` are 0.

    `ts_ms`: of the commit; of the binlog's, of the statement, in whole seconds.
    """

    transaction: str
    table: str
    row: int
    op: str
    key: str
    file: str
    pos: int
    partition: int = 0
    offset: int = 0
    seq: int = 0
    ts_ms: int = 0


class Different(NamedTuple):
    """One that the other side does not have, or not as often."""

    kind: FindingClass
    change: Change


_PROBED = """
SELECT min(seq) FILTER (WHERE ts_ms >= $2), count(*) FILTER (WHERE ts_ms < $2) FROM published WHERE tbl = $1
"""


class BinlogStore:
    """`logged` and `published` are filled in order, then compared.

    `later`: what is published of transactions that may stand past the end of what is read of the binlog.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        for name in ("logged", "published", "later"):
            store.run(f"CREATE TABLE {name} (n BIGINT, {_COLUMNS})")
        store.run("CREATE TABLE begins (tbl VARCHAR, n BIGINT)")
        self._count = 0

    def add(self, side: str, changes: Sequence[Change]) -> None:
        rows = [(self._count + n, *change[:4], change.key.encode(), *change[5:]) for n, change in enumerate(changes)]
        self._count += len(rows)
        self._store.insert(side, ("BIGINT", *_TYPES), list(zip(*rows, strict=True)))

    def first(self, table: str, since_ms: int) -> tuple[Change | None, bool]:
        """The first published change in source order since then, and whether there are older ones."""
        [(seq, older)] = self._store.run(_PROBED, [table, since_ms])
        if seq is None:
            return None, bool(older)
        rows = self._store.run(f"SELECT {_READ} FROM published WHERE tbl = $1 AND seq = $2 LIMIT 1", [table, seq])  # noqa: S608
        return _change(rows[0]), bool(older)

    def sort_out(self, committed: Callable[[str], bool]) -> None:
        """Of `later`, take in what the binlog holds after all, and what was never committed, as a GTID tells."""
        take = "INSERT INTO published SELECT l.* FROM later l"
        self._store.run(f"{take} SEMI JOIN logged USING (tx)")
        self._store.run(
            "CREATE TABLE unknown AS SELECT row_number() OVER () - 1 AS n, tx FROM "
            "(SELECT DISTINCT tx FROM later ANTI JOIN logged USING (tx))"
        )
        self._store.run("CREATE TABLE invented (tx VARCHAR)")
        [(count,)] = self._store.run("SELECT count(*) FROM unknown")
        for start in range(0, count, _CHUNK):
            rows = self._store.run("SELECT tx FROM unknown WHERE n >= $1 AND n < $2", [start, start + _CHUNK])
            self._store.insert("invented", ("VARCHAR",), [[tx for (tx,) in rows if not committed(tx)]])
        self._store.run(f"{take} SEMI JOIN invented USING (tx)")

    def begin(self, table: str, since_ms: int, *, at_event: bool) -> int:
        """From where on all that the binlog holds of a table has to be published; how many changes that are.

        From the first commit since then on, whatever time later ones tell: the binlog is in the order of commits.
        `at_event`: but not before the first transaction that is published.
        """
        published = "tbl = $2 AND tx IN (SELECT tx FROM published WHERE tbl = $2 AND ts_ms >= $1)"
        since = "ts_ms >= $1 AND $2 IS NOT NULL"
        where = published if at_event else since
        [(first,)] = self._store.run(f"SELECT min(n) FROM logged WHERE {where}", [since_ms, table])  # noqa: S608  ours
        if first is None:
            return 0
        self._store.run("INSERT INTO begins VALUES ($1, $2)", [table, first])
        [(count,)] = self._store.run("SELECT count(*) FROM logged WHERE tbl = $1 AND n >= $2", [table, first])
        return int(count)

    def logged_since(self, table: str, since_ms: int) -> int:
        [(count,)] = self._store.run("SELECT count(*) FROM logged WHERE tbl = $1 AND ts_ms >= $2", [table, since_ms])
        return int(count)

    def different(self, since_ms: int) -> Iterator[Different]:
        """What the binlog holds from where tables begin, and topics since then, and the other side does not."""
        self._store.run(_NUMBERED.format("logged", "n"))
        self._store.run(_NUMBERED.format("published", "seq"))
        self._store.run(_DIFFERENT, [since_ms])
        [(count,)] = self._store.run("SELECT count(*) FROM different")
        for start in range(0, count, _CHUNK):
            rows = self._store.run(
                f"SELECT kind, {_READ} FROM different WHERE n >= $1 AND n < $2 ORDER BY n",  # noqa: S608  a constant
                [start, start + _CHUNK],
            )
            for kind, *rest in rows:
                yield Different(FindingClass(kind), _change(rest))


def _change(row: Sequence[Any]) -> Change:
    tx, table, number, op, key, file, pos, *place = row
    return Change(tx, table, number, op, key.decode(), file, pos, *(value or 0 for value in place))
