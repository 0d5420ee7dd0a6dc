"""One table's audit: the six steps, in order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from elasticsearch import Elasticsearch

from auditor import findings, index, key_space, proven
from auditor.case import Case
from auditor.confirm import CHUNK, DEEP_CHUNK, Confirm
from auditor.contents import Contents
from auditor.dead_letters import DeadLetters
from auditor.deep import Deep
from auditor.elastic_side import ElasticSide
from auditor.expected import Expected
from auditor.hunt import Hunt
from auditor.incarnation import incarnation
from auditor.kept import Kept
from auditor.later import Later
from auditor.realtime import Realtime
from auditor.requests import Requests
from auditor.run_context import Context, StoppedError
from auditor.scan import Scan
from auditor.search import Limits
from auditor.sink_side import Settled, SinkSide
from auditor.store import Store
from auditor.suspects import Suspects
from auditor.topic import Topic
from auditor.twice import confirmed
from auditor.wanted import Wanted
from auditor.window import Windows, windows
from ops.kafka import admin, metadata, topic_ids
from ops.log import logger
from schemas.cost import Cost, Lag, Level
from schemas.errors import InconclusiveError, LaggingError, TidemarkError
from schemas.key import document_id
from schemas.report import AuditStatus, Finding, FindingClass, TableReport, Window
from schemas.shape import PLAIN, Shape
from schemas.table import Table
from schemas.watermark import Watermark

_log = logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is audited: `database.table`, its topic (and that topic's id, None if there is none), its alias.

    `shape`: of its documents. `layout`: the newest that was captured.
    """

    table: str
    topic: str
    topic_id: str | None
    alias: str
    shape: Shape = PLAIN
    layout: Table | None = None


class TableAudit:
    """Collects what the report needs while the steps run; an error leaves what was found by then."""

    def __init__(self, context: Context, client: Elasticsearch, subject: Subject) -> None:
        self._context = context
        self._client = client
        self._subject = subject
        self._requests = Requests(context)
        self._index: index.Index | None = None
        self._index_id = ""
        self._windows = Windows(parts=(), count=0)
        self._expected: Expected | None = None
        self._counts: Counter[FindingClass] = Counter()
        self._findings: list[Finding] = []
        self._lagging = 0
        self._events = 0
        self._levels: list[Level] = []
        self._cells = key_space.Cells()
        self._lag = Lag()
        self._took_s: dict[str, float] = {}
        self._since = ""
        self._everywhere = False
        self._reason = ""

    def run(self) -> TableReport:
        """Prove it, or say why it could not be proven. Raises `StoppedError`, and no other of our errors."""
        started = time.monotonic()
        with self._inconclusive(), ExitStack() as stack:
            self._prove(stack)
        if not self._reason or self._counts:
            with self._inconclusive():
                self._check_topic()
                self._check_index()
        return self._report(time.monotonic() - started)

    @contextmanager
    def _inconclusive(self) -> Iterator[None]:
        """What ends here is why nothing is proven."""
        try:
            yield
        except StoppedError:
            raise
        except TidemarkError as error:
            reason = f"{error}. {error.hint}" if error.hint else str(error)
            self._reason = f"{self._reason}; {reason}" if self._reason else reason
            _log.warning("a table could not be proven", action="audit_inconclusive", table=self._subject.table,
                         code=error.code, reason=reason)  # fmt: skip

    def _prove(self, stack: ExitStack) -> None:
        subject, context = self._subject, self._context
        self._index = index.find(self._requests, self._client, subject.alias)
        if self._index is not None:
            self._index_id = incarnation(self._requests, self._client, self._index)
        topic = stack.enter_context(Topic(context, subject.topic, subject.shape))
        self._windows = windows(topic, context.partitions, self._begin(topic))
        if subject.topic_id is None or not self._windows.count:
            raise InconclusiveError(f"there is no topic {subject.topic}", hint="Is `tidemark cdc run` running?")
        if not self._windows.parts:
            return  # the topic has none of the partitions that were asked for
        store = stack.enter_context(Store(context.settings.audit.memory))
        kept = None
        if context.resumable:
            kept = Kept(context, subject.topic, subject.topic_id, subject.shape, self._windows)
            stack.enter_context(kept.until_done())
        with self._timed("read_s"):
            most = sum(part.high - part.low for part in self._windows.parts)
            expected = self._read(topic, Expected(store, self._windows.partitions, kept, most_rows=most))
        if self._index is None:
            expected.seal(self._windows.highs)
            if expected.keys:
                raise InconclusiveError(f"there is no index {subject.alias}", hint="Is `tidemark sink run` running?")
            return
        sink = SinkSide(context, subject.topic, subject.topic_id, self._windows.partitions)
        settled = self._wait(sink, expected)
        suspects = Suspects(store)
        ends = partial(topic.ends, self._windows.partitions)
        side = ElasticSide(self._client, self._requests, self._index, subject.topic_id, self._windows, ends=ends)
        with side:
            with self._timed("read_s"):
                self._settle(topic, expected, side, settled)
            with self._timed("search_s"):
                self._search(expected, side, suspects)
        wanted = Wanted(subject.topic_id, subject.shape)
        if context.deep:
            scan = Scan(self._client, self._requests, self._index.name)
            Deep(store, topic, wanted, self._windows, ends=ends).find(scan, suspects)
        if suspects.seal():
            self._cells = key_space.Cells(key_space.sample(store))
            later = Later(store, topic, self._windows.highs, expected.barriers)
            with self._timed("judge_s"):
                self._judge(store, suspects, self._confirm(stack, later, sink, settled, Contents(topic, wanted)))

    def _begin(self, topic: Topic) -> Mapping[int, int]:
        since, subject = self._context.since, self._subject
        if since is None:
            return {}
        self._since = since.text
        if since.offsets is not None:
            return since.offsets
        if not since.clean:
            return topic.at(since.ts_ms)
        begin: Mapping[int, int] = {}
        if not subject.shape.rules.transform:  # its code may have changed, which no state tells
            grounds = proven.Grounds(subject.topic_id or "", self._index_id, subject.shape.rules.mark)
            begin = proven.read(self._context.settings.source.name, subject.table, grounds, deep=self._context.deep)
        ends = topic.ends(topic.partitions()) if begin else {}
        if any(offset > ends.get(partition, 0) for partition, offset in begin.items()):
            begin = {}  # the log ends before what was proven of it: what came there since is something else
        self._since = since.text if begin else ""
        return begin

    def _judge(self, store: Store, suspects: Suspects, confirm: Confirm) -> None:
        size = DEEP_CHUNK if self._context.deep else CHUNK
        self._count(confirmed(store, confirm, suspects.chunks(size), size))

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self._took_s[name] = round(self._took_s.get(name, 0) + time.monotonic() - started, 3)

    def _check_topic(self) -> None:
        """What was found about a topic that was made anew meanwhile is about nothing, also if it was nothing.

        With more partitions than at the beginning, documents of the new ones looked foreign.
        """
        kafka, subject = self._context.settings.kafka, self._subject
        client = admin(kafka, self._context.client_id)
        ids = topic_ids(client, [subject.topic], kafka.bootstrap_servers)
        if ids.get(subject.topic) != subject.topic_id:
            self._forget()
            raise InconclusiveError(f"topic {subject.topic} was deleted or made anew during the audit")
        count = len(metadata(client, subject.topic, kafka.bootstrap_servers).partitions)
        if count != self._windows.count:
            self._forget()
            raise InconclusiveError(
                f"topic {subject.topic} had {self._windows.count} partitions when the audit began, and has {count} now",
                hint="Run the audit again.",
            )

    def _check_index(self) -> None:
        try:
            index.must_still_be(self._requests, self._client, self._subject.alias, self._index)
        except InconclusiveError:
            self._forget()
            raise

    def _forget(self) -> None:
        self._counts.clear()
        self._findings.clear()

    def _read(self, topic: Topic, expected: Expected) -> Expected:
        self._expected = expected
        done = expected.last_read()  # by an audit that was interrupted
        self._add(expected, topic, [replace(part, low=max(part.low, done.get(part.partition, -1) + 1))
                                    for part in self._windows.parts])  # fmt: skip
        return expected

    def _add(self, expected: Expected, topic: Topic, parts: Sequence[Watermark]) -> None:
        for ops in topic.columns(parts):
            expected.add(ops)
        self._events = topic.events

    def _wait(self, sink: SinkSide, expected: Expected) -> Settled:
        started = time.monotonic()
        behind = self._behind(sink.committed())
        try:
            return sink.wait(expected.last_read(), self._windows.highs)
        except LaggingError:
            expected.seal(self._windows.highs)
            self._lagging = expected.from_offsets(sink.committed() or {})
            raise
        finally:
            self._lag = Lag(records=behind, waited_s=round(time.monotonic() - started, 3))

    def _settle(self, topic: Topic, expected: Expected, side: ElasticSide, settled: Settled) -> None:
        """Read on to what the sink can have written by the point in time, and move the windows up to its position.

        It was past that before the refresh, so the index shows every operation below it. Of keys with one above, it may
        show that one or not: they are taken out of both sides, and judged one by one, thousands a request.
        """
        before = self._windows
        self._windows = before.until({part: min(settled.offsets[part], end) for part, end in side.ends.items()})
        tail = [Watermark(partition=part, low=before.high(part), high=end) for part, end in side.ends.items()]
        self._add(expected, topic, tail)
        expected.seal(self._windows.highs)
        side.settle(self._windows, expected.unsettled_keys(), expected.barriers)

    def _behind(self, committed: Mapping[int, int] | None) -> int | None:
        """Offsets between the sink's commits and the windows' ends; None if its group may not be looked at."""
        if committed is None:
            return None
        return sum(max(0, part.high - max(part.low, committed.get(part.partition, 0))) for part in self._windows.parts)

    def _search(self, expected: Expected, side: ElasticSide, suspects: Suspects) -> None:
        hunt = Hunt(expected, side, self._requests, suspects)
        hunt.run(Limits(leaf_keys=self._context.settings.audit.leaf_keys))
        # Of several audits of one topic, one names what belongs to none of its partitions.
        foreign = 0 in self._windows.partitions
        self._everywhere = side.routed_count > 0 and foreign and not self._subject.shape.routed
        hunt.strays(expected, complete=self._windows.complete, foreign=foreign, routed=self._everywhere)
        # A row that is written in every second of every audit is to be judged, too.
        hunt.add(document_id(key) for key in expected.unsettled_keys())
        self._levels = hunt.levels

    def _confirm(self, stack: ExitStack, later: Later, sink: SinkSide, settled: Settled, contents: Contents) -> Confirm:
        assert self._index is not None  # noqa: S101  _prove has looked
        letters = DeadLetters(self._context, self._subject.topic, self._subject.alias)
        stack.callback(letters.close)
        return Confirm(
            topic_id=self._subject.topic_id or "",
            later=later,
            realtime=Realtime(
                self._client,
                self._requests,
                self._index.name,
                self._subject.shape,
                whole=self._context.deep,
                everywhere=self._everywhere,
            ),
            sink=sink,
            letters=letters,
            settled=settled,
            lower=self._windows.lowers,
            others=self._windows.others,
            contents=contents if self._context.deep else None,
        )

    def _count(self, cases: Iterable[Case]) -> None:
        for case in cases:
            self._lagging += case.verdict.in_flight
            if case.verdict.kind is None:
                continue
            self._counts[case.verdict.kind] += 1
            made = findings.finding(self._subject.table, case)
            self._cells.mark(made.class_, made.key)
            if len(self._findings) < findings.FINDINGS_LIMIT:
                self._findings.append(made)

    def _report(self, seconds: float) -> TableReport:
        subject, expected = self._subject, self._expected
        red = any(self._counts[kind] for kind in findings.RED)
        gray = AuditStatus.INCONCLUSIVE if self._reason else AuditStatus.CLEAN
        return TableReport(
            table=subject.table,
            topic=subject.topic,
            topic_id=subject.topic_id or "",
            alias=subject.alias,
            index=self._index.name if self._index else "",
            index_id=self._index_id,
            rules=subject.shape.rules.mark,
            status=AuditStatus.FINDINGS if red else gray,
            reason=self._reason,
            partitions=self._windows.count,
            windows=[
                Window(partition=part.partition, low=part.low, high=part.high, **self._keys(part.partition))
                for part in self._windows.parts
            ],
            deep=self._context.deep,
            since=self._since,
            keys=expected.keys if expected else 0,
            unsettled=expected.unsettled if expected else 0,
            lagging=self._lagging,
            counts=dict(self._counts),
            findings=sorted(self._findings, key=lambda finding: finding.document),
            findings_cut=sum(self._counts.values()) > len(self._findings),
            key_space=self._cells.report(),
            search=self._levels,
            lag=self._lag.model_copy(update={"newest_ts_ms": expected.newest_ts_ms if expected else None}),
            cost=Cost(
                events=self._events,
                requests=self._requests.count,
                rounds=len(self._levels),
                response_bytes=self._requests.response_bytes,
                seconds=round(seconds, 3),
                **self._took_s,
            ),
        )

    def _keys(self, partition: int) -> dict[str, int]:
        if self._expected is None:
            return {"keys": 0, "deleted": 0}
        return {"keys": self._expected.size(partition), "deleted": self._expected.deleted.get(partition, 0)}
