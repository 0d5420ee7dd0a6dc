"""The binlog's row changes beside the topics: nothing skipped, nothing twice.

Compared is what compaction cannot have touched yet. Of a table whose topic has no older event, only what came from its
first event on: what MySQL committed before, cdc may never have been asked for. Both sides are kept in the audit's
store, a few numbers a change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from auditor.binlog_rows import BinlogRows, Logged
from auditor.binlog_store import BinlogStore, Change, Different
from auditor.binlog_window import began
from auditor.cdc_side import CdcSide
from auditor.compaction import by_time, untouched
from auditor.findings import FINDINGS_LIMIT
from auditor.markers import decided
from auditor.mysql_server import Mark, MysqlServer
from auditor.published import row_change
from auditor.run_context import Context
from auditor.store import Store
from auditor.table_audit import Subject
from auditor.topic import Topic
from schemas.key import document_id, kafka_key, key_text
from schemas.position import GtidSet
from schemas.report import Expected, Finding, FindingClass, RowChange
from schemas.table import ColumnType, Table
from schemas.watermark import Watermark

_PLAIN = {ColumnType.TINYINT, ColumnType.SMALLINT, ColumnType.MEDIUMINT, ColumnType.INT, ColumnType.BIGINT}
_TEXT = {ColumnType.CHAR, ColumnType.VARCHAR}
_UNICODE = {"utf8mb4", "utf8mb3", "utf8", "ascii"}
_CLOCK_MS = 3_600_000  # so far a clock may go back
_CLOCKS = timedelta(minutes=1)  # so far those of MySQL, Kafka and the audit may differ


class _Seen(NamedTuple):
    """Of a topic: its first event in source order since the window began, and whether it has older ones."""

    first: Change | None
    older: bool


class BinlogAudit:
    """All tables at once, since the binlog is read once. `keys`: row changes; `events`: records of the topic.

    `since`: of tables whose topic has lost younger records than the window's begin: when those that it has begin.
    """

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
        self.since: dict[str, datetime] = {}
        self._cut_ms: dict[str, int] = {}

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
            begin = self._since(files)
            cdc.wait(mark)
            older = {name: self._read_topic(sides, name, _ms(begin), mark) for name in self._tables}
            since = max(begin, self._since(files))  # compaction has gone on while the topics were read
            begins = {name: self._begins(name, since) for name in self._tables}
            seen = {name: self._look(sides, name, begins[name], older[name]) for name in self._tables}
            for batch in BinlogRows(self._context, self._keys()).read(self._file(files, seen.values(), since), mark):
                sides.add("logged", [self._logged(one) for one in batch])
            sides.sort_out(GtidSet(server.executed()).__contains__)
            for name, one in seen.items():
                self._begin(sides, name, one, begins[name])
            for different in sides.different(_ms(since)):
                self._found(different)

    def _since(self, files: Sequence[str]) -> datetime:
        """Commits from here on are compared: the topics still have all of them, and so does the binlog."""
        lag = untouched(self._context, [subject.topic for subject, _ in self._tables.values()])
        oldest = began(self._context, files[0]) + timedelta(seconds=1)  # it is told in whole seconds
        return max(datetime.now(UTC) - lag + min(_CLOCKS, lag / 10), oldest)

    def _begins(self, name: str, since: datetime) -> int:
        """Where a table's comparison begins: what its topic has lost by its size or by hand may be younger than that.

        In a partition records are lost from its beginning on: each was committed before the first one that is left.
        """
        cut_ms = self._cut_ms.get(name, 0)
        if cut_ms <= _ms(since):
            return _ms(since)
        whole_s = cut_ms // 1000 + 1  # as the binlog tells it
        self.since[name] = datetime.fromtimestamp(whole_s, UTC)
        return whole_s * 1000

    def _note_cut(self, name: str, parts: Sequence[Watermark], firsts: Mapping[int, int]) -> None:
        """`firsts`: partition -> when the first of its changes was committed, as MySQL says; absent if it has none."""
        cut = [part.partition for part in parts if part.low]
        if not cut or by_time(self._context, self._tables[name][0].topic):
            return
        gone = [partition for partition in cut if partition not in firsts]
        if gone:
            self.reasons[name] = f"partition {gone[0]} of its topic has lost all changes that it had"
        self._cut_ms[name] = max((firsts[partition] for partition in cut if partition in firsts), default=0)

    def _read_topic(self, sides: BinlogStore, name: str, since_ms: int, mark: Mark) -> bool:
        """Keep a table's events of the window, and some older ones: clocks may go back. True if it has older ones."""
        subject = self._tables[name][0]
        executed = GtidSet(mark.gtid_set)
        with Topic(self._context, subject.topic) as topic:
            parts = [topic.watermark(partition) for partition in decided(self._context, topic)]
            older = any(part.low for part in parts)
            firsts: dict[int, int] = {}
            for messages in topic.messages([Watermark(partition=p.partition, low=p.low, high=p.high) for p in parts]):
                self.events[name] += len(messages)
                made = [row_change(message, with_key=self._with_key[name]) for message in messages]
                changes = [change for change in made if change]
                for change in changes:
                    firsts.setdefault(change.partition, change.ts_ms)
                settled, later = _cut(changes, mark, executed)
                sides.add("later", later)
                sides.add("published", [c for c in settled if c.ts_ms >= since_ms - _CLOCK_MS])
                older |= any(c.ts_ms < since_ms for c in settled)
            self._note_cut(name, parts, firsts)
        return older

    def _look(self, sides: BinlogStore, name: str, since_ms: int, older: bool) -> _Seen:
        first, more = sides.first(name, since_ms)
        return _Seen(first, older or more)

    def _file(self, files: Sequence[str], seen: Iterable[_Seen], since: datetime) -> str:
        """The binlog file to begin with."""
        tables = list(seen)
        first = min((one.first for one in tables if one.first), key=lambda change: change.seq, default=None)
        known = not any(one.older for one in tables) and first and first.file in files
        # It may be another server's file of the same name, as long as it begins early enough.
        if known and first and _ms(began(self._context, first.file)) <= first.ts_ms:
            return first.file
        return next((file for file in reversed(files) if began(self._context, file) <= since), files[0])

    def _keys(self) -> dict[str, Sequence[str]]:
        return {name: layout.primary_key for name, (_, layout) in self._tables.items()}

    def _logged(self, one: Logged) -> Change:
        key = ""
        if self._with_key[one.table]:
            columns = self._tables[one.table][1].primary_key
            key = key_text(kafka_key(dict(zip(columns, one.key, strict=True))))
        return Change(one.transaction, one.table, one.row, one.op, key, *one.place, ts_ms=one.ts_ms)

    def _begin(self, sides: BinlogStore, name: str, seen: _Seen, since_ms: int) -> None:
        if name in self.reasons:
            return
        if seen.first or seen.older:
            self.keys[name] = sides.begin(name, since_ms, at_event=not seen.older)
            if name in self.since and not self.keys[name]:
                self.reasons[name] = f"its topic has lost its first records: none to compare since {self.since[name]}"
        elif sides.logged_since(name, since_ms):
            self.reasons[name] = "its topic has no event of the time that is compared, so nobody can say where to begin"

    def _found(self, different: Different) -> None:
        change = different.change
        self.counts[change.table][different.kind] += 1
        if len(self.findings[change.table]) < FINDINGS_LIMIT:
            self.findings[change.table].append(_finding(different.kind, change))


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _cut(changes: Iterable[Change], mark: Mark, executed: GtidSet) -> tuple[list[Change], list[Change]]:
    """Those that MySQL had committed by the mark, and those that it may have committed since, or never.

    A GTID tells, where there are any: a place in a file may be one in the file of another server, from before a
    failover.
    """
    settled, later = [], []
    for change in changes:
        if not executed or change.transaction == f"{change.file}:{change.pos}":
            settled += [] if mark.reached(change.file, change.pos) else [change]
        elif change.transaction in executed:
            settled.append(change)
        else:
            later.append(change)
    return settled, later


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
