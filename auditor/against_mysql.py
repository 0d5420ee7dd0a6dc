"""One table of MySQL beside its index, for what the topic cannot tell: rows that never reached it, or left it since.

1. Every row is read, chunk by chunk along the primary key, rendered by SQL, and its document got in real time.
2. Documents of which no row was seen are listed at a point in time.
3. What differs is read again: the row, the document, and the row once more. The document counts when the sink has
   passed the end of the binlog as it was after the row was read, and when the row has not changed meanwhile. What is
   wrong twice, without a change of row or document, is a finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from auditor.differences import FIELDS_LIMIT
from auditor.digest import digest
from auditor.doc import Doc
from auditor.doubts import Doubt, Doubts
from auditor.excuses import Excuses
from auditor.findings import FINDINGS_LIMIT, found
from auditor.mysql_passage import Passage
from auditor.mysql_server import MysqlServer
from auditor.mysql_table import MysqlTable, SqlRow
from auditor.page import in_parts
from auditor.realtime import Realtime
from auditor.row_check import RowCheck
from auditor.scan import Scan
from auditor.store import Store
from schemas.errors import InconclusiveError
from schemas.report import Differs, Finding, FindingClass

_ROUNDS = 4
_CHUNK = 100
_ORPHANS = """
CREATE TABLE strangers AS SELECT row_number() OVER () - 1 AS n, id, max(key) AS key FROM (
  SELECT id, key FROM docs ANTI JOIN rows USING (id) UNION ALL SELECT id, key FROM docs WHERE routed > 0)
ANTI JOIN doubts0 USING (id) GROUP BY id
"""


class MysqlAudit:
    """One table. `keys`: rows read; `lagging`: keys that changed in every round."""

    def __init__(
        self,
        table: str,
        *,
        server: MysqlServer,
        mysql: MysqlTable,
        check: RowCheck,
        realtime: Realtime,
        passage: Passage,
        excuses: Excuses,
        store: Store,
    ) -> None:
        self._table = table
        self._server = server
        self._mysql = mysql
        self._check = check
        self._realtime = realtime
        self._passage = passage
        self._excuses = excuses
        self._store = store
        self._doubts = Doubts(store, 0)
        self.keys = 0
        self.lagging = 0
        self.counts: Counter[FindingClass] = Counter()
        self.findings: list[Finding] = []

    def run(self, scan: Scan) -> None:
        """Fill the counts and findings. Raises `InconclusiveError`, also if the table was altered meanwhile."""
        self._store.run("CREATE TABLE rows (id BLOB)")
        self._store.run("CREATE TABLE docs (id BLOB, key BLOB, routed INTEGER)")
        for rows in self._mysql.chunks():
            self.keys += len(rows)
            self._doubts.add(list(in_parts(rows, self._compare)))
        self._list(scan)
        self._check_layout()
        self._settle()
        self._check_layout()

    def _check_layout(self) -> None:
        if self._mysql.columns() != self._mysql.layout:
            raise InconclusiveError(f"table {self._table} was altered during the audit", hint="Run the audit again.")

    def _compare(self, rows: Sequence[SqlRow]) -> list[Doubt]:
        docs = self._realtime.get([row.id for row in rows])
        self._store.insert("rows", ("BLOB",), [[row.id.encode() for row in rows]])
        wrong = [row for row in rows if self._wrong(row, docs.get(row.id)) is not None]
        return [Doubt(row.id, [row.values[column.name] for column in self._mysql.key]) for row in wrong]

    def _wrong(self, row: SqlRow | None, doc: Doc | None) -> tuple[FindingClass, list[Differs]] | None:
        """None if row and document fit."""
        if doc is not None and doc.elsewhere:
            return FindingClass.FOREIGN, []
        if row is None or not self._check.exists(row):
            return None if doc is None else (FindingClass.ORPHAN, [])
        if doc is None:
            return FindingClass.MISSING, []
        differs = self._check.differs(row, doc.source or {})
        return (FindingClass.CONTENT, differs) if differs else None

    def _list(self, scan: Scan) -> None:
        """Documents of no row that was seen: orphans, or of no row at all; and those that may be on other shards."""
        scan.open()
        for docs in scan.everything(["_cdc"]):
            rows = [
                (doc.id.encode(), doc.key.encode() if doc.key is not None and doc.at_home else None,
                 int(self._realtime.unexpected(doc)))
                for doc in docs
            ]  # fmt: skip
            self._realtime.everywhere |= any(routed for *_, routed in rows)
            self._store.insert("docs", ("BLOB", "BLOB", "INTEGER"), list(zip(*rows, strict=True)))
        self._store.run(_ORPHANS)
        [(count,)] = self._store.run("SELECT count(*) FROM strangers")
        for start in range(0, count, _CHUNK):
            some = self._store.run("SELECT id, key FROM strangers WHERE n >= $1 AND n < $2", [start, start + _CHUNK])
            self._doubts.add([self._stranger(id_.decode(), key) for id_, key in some])

    def _stranger(self, id_: str, key: bytes | None) -> Doubt:
        values = None if key is None else self._mysql.key_values(key.decode())
        return Doubt(id_, values or [])

    def _settle(self) -> None:
        doubts = self._doubts
        for number in range(1, _ROUNDS + 1):
            if not len(doubts):
                return
            doubts = self._round(doubts, number)
        self.lagging += len(doubts)

    def _round(self, doubts: Doubts, number: int) -> Doubts:
        before = Doubts(self._store, 2 * number)
        for chunk in doubts.chunks(_CHUNK):
            before.add(list(in_parts(chunk, self._seen)))
        self._passage.wait(self._server.mark())
        left = Doubts(self._store, 2 * number + 1)
        for chunk in before.chunks(_CHUNK):
            left.add(list(in_parts(chunk, self._judged)))
        return left

    def _seen(self, chunk: Sequence[Doubt]) -> list[Doubt]:
        rows = self._rows(chunk)
        return [self._read(doubt, rows.get(doubt.id)) for doubt in chunk]

    def _judged(self, chunk: Sequence[Doubt]) -> list[Doubt]:
        self._excuses.look([doubt.id for doubt in chunk])
        docs = self._realtime.get([doubt.id for doubt in chunk])
        rows = self._rows(chunk)
        return [one for doubt in chunk for one in self._judge(doubt, rows.get(doubt.id), docs.get(doubt.id))]

    def _rows(self, chunk: Sequence[Doubt]) -> dict[str, SqlRow]:
        return self._mysql.by_keys([(doubt.id, doubt.values) for doubt in chunk if doubt.values])

    def _read(self, doubt: Doubt, row: SqlRow | None) -> Doubt:
        now = _digest(row)
        return doubt._replace(row=now, wrong=doubt.wrong if now == doubt.row else 0)

    def _judge(self, doubt: Doubt, row: SqlRow | None, doc: Doc | None) -> Iterator[Doubt]:
        """The doubt once more, if it is not settled."""
        if _digest(row) != doubt.row:
            yield doubt._replace(wrong=0)
            return
        wrong = self._wrong(row, doc)
        if wrong is None:
            return
        version = doc.version if doc else 0
        if doubt.wrong and version == doubt.version:
            self._found(doubt, row, doc, *wrong)
        else:
            yield doubt._replace(version=version, wrong=1)

    def _found(self, doubt: Doubt, row: SqlRow | None, doc: Doc | None, kind: FindingClass,
               differs: list[Differs]) -> None:  # fmt: skip
        differs = self._excuses.not_omitted(doc, differs)
        if kind is FindingClass.CONTENT and not differs:
            return
        if kind is FindingClass.FOREIGN or not doubt.values:
            kind = FindingClass.FOREIGN
        elif self._excuses.refused(doubt.id, doc, gone=kind is FindingClass.ORPHAN):
            kind = FindingClass.DEAD_LETTERED
        self.counts[kind] += 1
        if len(self.findings) < FINDINGS_LIMIT:
            key = row.key if row else doc.key if doc else None
            self.findings.append(
                Finding.model_validate(
                    {
                        "class": kind,
                        "table": self._table,
                        "document": f"{self._table}/{doubt.id}",
                        "id": doubt.id,
                        "key": doubt.id if key is None else key,
                        "expected": None,
                        "found": found(doc) if doc else None,
                        "differs": differs[:FIELDS_LIMIT],
                    }
                )
            )


def _digest(row: SqlRow | None) -> int:
    return digest({"values": row.values, "raw": row.raw}) if row else 0
