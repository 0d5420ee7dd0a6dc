"""The binlog's row changes beside the topics: nothing skipped, nothing twice.

Compared is what compaction cannot have touched yet, from the first event that a topic has of that time: what MySQL
committed before, cdc may never have been asked for. Both sides are kept in the audit's store, a few numbers a change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from auditor.binlog_rows import BinlogRows, Logged
from auditor.binlog_store import BinlogStore, Change, Different
from auditor.binlog_window import began
from auditor.cdc_side import CdcSide
from auditor.compaction import untouched
from auditor.findings import FINDINGS_LIMIT
from auditor.mysql_server import Mark, MysqlServer
from auditor.published import row_change
from auditor.run_context import Context
from auditor.store import Store
from auditor.table_audit import Subject
from auditor.topic import Topic
from schemas.key import document_id, kafka_key, key_text
from schemas.report import Expected, Finding, FindingClass, RowChange
from schemas.table import ColumnType, Table
from schemas.watermark import Watermark

_PLAIN = {ColumnType.TINYINT, ColumnType.SMALLINT, ColumnType.MEDIUMINT, ColumnType.INT, ColumnType.BIGINT}
_TEXT = {ColumnType.CHAR, ColumnType.VARCHAR}
_UNICODE = {"utf8mb4", "utf8mb3", "utf8", "ascii"}


class BinlogAudit:
    """All tables at once, since the binlog is read once. `keys`: row changes; `events`: records of the topic."""

    def __init__(self, context: Context, subjects: Sequence[Subject]) -> None:
        self._context = context
        self._tables: Mapping[str, tuple[Subject, Table]] = {
            subject.table: (subject, subject.layout) for subject in subjects if subject.layout is not None
        }
        self._with_key = {name: _comparable(layout) for name, (_, layout) in self._tables.items()}
        self.counts: dict[str, Counter[FindingClass]] = {name: Counter() for name in self._tables}
        self.findings: dict[str, list[Finding]] = {name: [] for name in self._tables}
        self.keys: dict[str, int] = dict.fromkeys(self._tables, 0)
        self.reasons: dict[str, str] = {}
        self.events: dict[str, int] = dict.fromkeys(self._tables, 0)

    def run(self) -> None:
        """Fill counts and findings. Raises `InconclusiveError` and what keeps it from the servers."""
        with ExitStack() as stack:
            server = MysqlServer(self._context)
            stack.callback(server.close)
            cdc = CdcSide(self._context)
            stack.callback(cdc.close)
            sides = BinlogStore(stack.enter_context(Store(self._context.settings.audit.memory)))
            mark = server.mark()
            files = server.files()
            since = self._since(files)
            cdc.wait(mark)
            firsts = {name: self._read_topic(sides, name, since, mark) for name in self._tables}
            for batch in BinlogRows(self._context, self._keys()).read(_begin(files, firsts.values()), mark):
                sides.add("logged", [self._logged(one) for one in batch])
            for name, first in firsts.items():
                self._trim(sides, name, first)
            for different in sides.different():
                self._found(different)

    def _since(self, files: Sequence[str]) -> datetime:
        """Commits from here on are compared: the topics still have all of them, and so does the binlog."""
        lag = untouched(self._context, [subject.topic for subject, _ in self._tables.values()])
        oldest = began(self._context, files[0]) + timedelta(seconds=1)  # it is told in whole seconds
        return max(datetime.now(UTC) - lag, oldest)

    def _read_topic(self, sides: BinlogStore, name: str, since: datetime, mark: Mark) -> Change | None:
        """Keep a table's events of the window; the first of them in source order."""
        subject, since_ms = self._tables[name][0], int(since.timestamp() * 1000)
        first: Change | None = None
        with Topic(self._context, subject.topic) as topic:
            parts = [topic.watermark(partition) for partition in topic.partitions()]
            for messages in topic.messages([Watermark(partition=p.partition, low=p.low, high=p.high) for p in parts]):
                self.events[name] += len(messages)
                changes = (row_change(message, with_key=self._with_key[name]) for message in messages)
                kept = [c for c in changes if c and c.ts_ms >= since_ms and not mark.reached(c.file, c.pos)]
                sides.add("published", kept)
                first = min([*kept, *([first] if first else [])], key=lambda change: change.seq, default=None)
        return first

    def _keys(self) -> dict[str, Sequence[str]]:
        return {name: layout.primary_key for name, (_, layout) in self._tables.items()}

    def _logged(self, one: Logged) -> Change:
        key = ""
        if self._with_key[one.table]:
            columns = self._tables[one.table][1].primary_key
            key = key_text(kafka_key(dict(zip(columns, one.key, strict=True))))
        return Change(one.transaction, one.table, one.row, one.op, key, *one.place)

    def _trim(self, sides: BinlogStore, name: str, first: Change | None) -> None:
        """Leave out what the binlog holds of a table from before its first event."""
        if first is not None:
            self.keys[name] = sides.keep_only(name, first.transaction)
        elif sides.drop(name):
            self.reasons[name] = "its topic has no event of the time that is compared, so nobody can say where to begin"

    def _found(self, different: Different) -> None:
        change = different.change
        self.counts[change.table][different.kind] += 1
        if len(self.findings[change.table]) < FINDINGS_LIMIT:
            self.findings[change.table].append(_finding(different.kind, change))


def _begin(files: Sequence[str], firsts: Iterable[Change | None]) -> str:
    """The file of the first event; the oldest one, if that was another server's."""
    first = min((first for first in firsts if first), key=lambda change: change.seq, default=None)
    return first.file if first and first.file in files else files[0]


def _comparable(layout: Table) -> bool:
    """True if the two decoders tell the key in the same words: whole numbers, and text in Unicode."""
    columns = {column.name: column for column in layout.columns}
    return all(
        columns[name].type in _PLAIN or (columns[name].type in _TEXT and columns[name].charset in _UNICODE)
        for name in layout.primary_key
    )


def _finding(kind: FindingClass, change: Change) -> Finding:
    where = {"partition": change.partition, "offset": change.offset, "seq": change.seq, "commit_ts_ms": change.ts_ms}
    id_ = document_id(change.key) if change.key else ""
    transaction = change.transaction if change.transaction != f"{change.file}:{change.pos}" else ""
    return Finding.model_validate(
        {
            "class": kind,
            "table": change.table,
            "document": f"{change.table}/{id_}",
            "id": id_,
            "key": change.key,
            "expected": Expected.model_validate({"op": change.op, **where}) if change.seq else None,
            "found": None,
            "change": RowChange(gtid=transaction, file=change.file, pos=change.pos, row=change.row, op=change.op),
        }
    )
