"""One table's repair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Self

from elasticsearch import Elasticsearch

from auditor import index
from auditor.case import Case
from auditor.change import Change
from auditor.confirm import DEEP_CHUNK, Confirm
from auditor.contents import Contents
from auditor.dead_letters import DeadLetters
from auditor.events import Event, events
from auditor.incarnation import incarnation
from auditor.later import Later
from auditor.op import Op
from auditor.outcome import mended, planned
from auditor.realtime import Realtime
from auditor.requests import Requests
from auditor.run_context import Context
from auditor.sink_side import Settled, SinkSide
from auditor.store import Store
from auditor.suspects import Suspect
from auditor.table_audit import Subject
from auditor.topic import Topic
from auditor.wanted import Wanted
from auditor.words import REPAIRABLE
from auditor.writer import Writer, Written
from schemas.errors import ReportOutdatedError
from schemas.report import Finding, FindingClass, Repair, TableReport

_BULK_BYTES = 5 << 20
_CHUNK = 500  # whole documents are held, to be written
_ONLY_DEEP = (FindingClass.TAMPERED, FindingClass.CONTENT)
_RERUN = "Run `tidemark audit run` again and repair what it finds."


class TableRepair:
    """Reads on from where the report's windows end, so that it knows what has happened since.

    What only whole documents show is judged by whole documents again.
    """

    def __init__(self, context: Context, client: Elasticsearch, subject: Subject, report: TableReport) -> None:
        self._context = context
        self._client = client
        self._subject = subject
        self._report = report
        self._requests = Requests(context)
        self._wanted = Wanted(report.topic_id, subject.shape)
        self._deep = any(finding.class_ in _ONLY_DEEP for finding in report.findings)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._topic = stack.enter_context(Topic(self._context, self._subject.topic, self._subject.shape))
            self._check()
            self._confirm = self._judge(stack, stack.enter_context(Store(self._context.settings.audit.memory)))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _check(self) -> None:
        found = index.find(self._requests, self._client, self._subject.alias)
        if found is None or found.name != self._report.index:
            raise ReportOutdatedError(
                f"the report is about index {self._report.index}, {self._subject.alias} now leads to "
                f"{found.name if found else 'nothing'}",
                hint=_RERUN,
            )
        index.must_be_ours(found)
        before, now = self._report.index_id, incarnation(self._requests, self._client, found)
        if before and now and before != now:
            raise ReportOutdatedError(
                f"index {found.name} was made anew or restored since the report", where=self._report.table, hint=_RERUN
            )
        if self._subject.topic_id != self._report.topic_id:
            raise ReportOutdatedError(
                f"topic {self._subject.topic} was made anew since the report", where=self._report.table, hint=_RERUN
            )
        if len(self._topic.partitions()) != self._report.partitions:
            raise ReportOutdatedError(
                f"topic {self._subject.topic} has other partitions than the report's {self._report.partitions}",
                where=self._report.table,
                hint=_RERUN,
            )
        for window in self._report.windows:
            if self._topic.watermark(window.partition).low > window.high:
                raise ReportOutdatedError(
                    f"records that came after the report are gone from partition {window.partition}",
                    where=self._subject.topic,
                    hint=_RERUN,
                )

    def _judge(self, stack: ExitStack, store: Store) -> Confirm:
        highs = {window.partition: window.high for window in self._report.windows}
        letters = DeadLetters(self._context, self._subject.topic, self._subject.alias)
        stack.callback(letters.close)
        return Confirm(
            topic_id=self._report.topic_id,
            later=Later(store, self._topic, highs, ()),
            realtime=Realtime(
                self._client,
                self._requests,
                self._report.index,
                self._subject.shape,
                whole=self._deep,
                everywhere=any(finding.class_ is FindingClass.FOREIGN for finding in self._report.findings),
            ),
            sink=SinkSide(self._context, self._subject.topic, self._report.topic_id, list(highs)),
            letters=letters,
            settled=Settled(offsets=highs, seen=True),
            lower={window.partition: window.low for window in self._report.windows if window.low},
            others=frozenset(range(self._report.partitions)) - highs.keys(),
            contents=Contents(self._topic, self._wanted) if self._deep else None,
        )

    def mend(self, findings: Sequence[Finding], *, apply: bool) -> list[Repair]:
        """Judge these findings again and mend those that stand; an outcome for each."""
        size = DEEP_CHUNK if self._deep else _CHUNK
        made = []
        for start in range(0, len(findings), size):
            made += self._chunk(findings[start : start + size], apply=apply)
        return made

    def _chunk(self, findings: Sequence[Finding], *, apply: bool) -> list[Repair]:
        suspects = {finding.id: Suspect(id=finding.id, last=_last(finding)) for finding in findings}
        cases = {case.id: case for case in self._confirm.cases([list(suspects.values())])}
        wrong = [case for case in cases.values() if case.verdict.kind in REPAIRABLE]
        if not apply:
            changes = {change.id: change for change in self._changes(wrong)}
            return [planned(finding, cases[finding.id], changes.get(finding.id)) for finding in findings]
        written = self._write(wrong)
        again = self._confirm.cases([[suspects[case.id] for case in wrong]]) if wrong else ()
        after = {case.id: case for case in again}
        return [
            mended(finding, cases[finding.id], after.get(finding.id), written.get(finding.id)) for finding in findings
        ]

    def _write(self, wrong: Sequence[Case]) -> dict[str, Written]:
        writer = Writer(self._context, self._client, self._requests, self._report.index)
        done: dict[str, Written] = {}
        batch: list[Change] = []
        size = 0
        for change in self._changes(wrong):
            batch.append(change)
            size += len(change.lines(self._report.index))
            if size >= _BULK_BYTES:
                done |= {written.change.id: written for written in writer.write(batch)}
                batch, size = [], 0
        return done | {written.change.id: written for written in writer.write(batch)}

    def _changes(self, wrong: Sequence[Case]) -> Iterator[Change]:
        """What to write; nothing for a case whose event the topic does not have any more."""
        to_index: dict[tuple[int, int], Case] = {}
        for case in wrong:
            must = case.verdict.expected
            if must is not None and must.present:
                to_index[must.partition, must.offset] = case
            else:
                yield _delete(case, must, self._routing(case))
        for event in events(self._topic, to_index):
            case = to_index[event.partition, event.offset]
            change = self._again(case, event)
            if change is not None:
                yield change.over(case.doc.version) if case.doc else change

    def _again(self, case: Case, event: Event) -> Change | None:
        """The event's document once more; None if none can be made of it."""
        must = case.verdict.expected
        wanted = self._wanted.of_event(must.key, event) if must else None
        if wanted is None:
            return None
        block = {name: value for name, value in wanted.pop("_cdc").items() if name not in ("rev", "fp")}
        return Change(id=case.id, seq=block["seq"], fields=wanted, block=block, routing=self._routing(case))

    def _routing(self, case: Case) -> str | None:
        return case.doc.routing if case.doc else self._subject.shape.routing(case.id)


def _delete(case: Case, must: Op | None, routing: str | None) -> Change:
    if must is None or case.doc is None:
        return Change(id=case.id, seq=None, seen=case.doc, routing=routing)
    return Change(id=case.id, seq=must.seq, routing=routing).over(case.doc.version)


def _last(finding: Finding) -> Op | None:
    at = finding.expected
    return Op(finding.key, at.partition, at.offset, at.seq, at.op, at.commit_ts_ms) if at else None
