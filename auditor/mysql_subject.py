"""One table's audit against MySQL: what it takes, and what its report says."""

from __future__ import annotations

import time
from contextlib import ExitStack

from elasticsearch import Elasticsearch

from auditor import findings, index
from auditor.against_mysql import MysqlAudit
from auditor.cdc_side import CdcSide
from auditor.dead_letters import DeadLetters
from auditor.excuses import Excuses
from auditor.mysql_passage import Passage
from auditor.mysql_server import MysqlServer
from auditor.mysql_table import MysqlTable
from auditor.realtime import Realtime
from auditor.requests import Requests
from auditor.row_check import RowCheck
from auditor.run_context import Context, StoppedError
from auditor.scan import Scan
from auditor.sink_side import SinkSide
from auditor.store import Store
from auditor.table_audit import Subject
from auditor.topic import Topic
from ops.log import logger
from schemas.cost import Cost
from schemas.errors import InconclusiveError, TidemarkError
from schemas.report import AuditStatus, TableReport
from schemas.table import Table

_log = logger(__name__)


class MysqlSubject:
    """Collects what the report needs; an error leaves what was found by then."""

    def __init__(self, context: Context, client: Elasticsearch, subject: Subject) -> None:
        self._context = context
        self._client = client
        self._subject = subject
        self._requests = Requests(context)
        self._index: index.Index | None = None
        self._audit: MysqlAudit | None = None
        self._reason = ""

    def run(self) -> TableReport:
        """Prove it, or say why it could not be proven. Raises `StoppedError`, and no other of our errors."""
        started = time.monotonic()
        try:
            with ExitStack() as stack:
                self._prove(stack)
        except StoppedError:
            raise
        except TidemarkError as error:
            self._reason = f"{error}. {error.hint}" if error.hint else str(error)
            _log.warning("a table could not be proven", action="audit_inconclusive", table=self._subject.table,
                         code=error.code, reason=self._reason)  # fmt: skip
        return self._report(time.monotonic() - started)

    def _prove(self, stack: ExitStack) -> None:
        alias = self._subject.alias
        self._index = index.find(self._requests, self._client, alias)
        if self._index is None:
            self._prove_empty(stack)
            return
        self._audit = self._assemble(stack, self._index)
        try:
            self._audit.run(Scan(self._client, self._requests, self._index.name))
        except StoppedError:
            raise
        except TidemarkError:
            if self._audit.counts:
                self._check_index(self._index)
            raise
        keys, lagging = self._audit.keys, self._audit.lagging
        self._check_index(self._index)
        if 0 < keys <= lagging:
            raise InconclusiveError("each of its rows changed whenever it was looked at: none was judged")

    def _prove_empty(self, stack: ExitStack) -> None:
        """A table without rows, or that was dropped, needs no index."""
        server = MysqlServer(self._context)
        stack.callback(server.close)
        alias = self._subject.alias
        if any(self._table(server, self._captured()[0]).chunks()):
            raise InconclusiveError(f"there is no index {alias}", hint="Is `tidemark sink run` running?")
        index.must_still_be(self._requests, self._client, alias, None)

    def _captured(self) -> tuple[Table, str]:
        """Its layout and its topic's id."""
        subject = self._subject
        if subject.layout is None or subject.topic_id is None:
            raise InconclusiveError(f"there is no topic {subject.topic}", hint="Is `tidemark cdc run` running?")
        return subject.layout, subject.topic_id

    def _table(self, server: MysqlServer, layout: Table) -> MysqlTable:
        return MysqlTable(server, layout.db, layout.name, [column.name for column in layout.columns])

    def _check_index(self, place: index.Index) -> None:
        """What was found in an index that is gone is about nothing."""
        try:
            index.must_still_be(self._requests, self._client, self._subject.alias, place)
        except InconclusiveError:
            self._audit = None
            raise

    def _assemble(self, stack: ExitStack, place: index.Index) -> MysqlAudit:
        subject, context = self._subject, self._context
        layout, topic_id = self._captured()
        server = MysqlServer(context)
        stack.callback(server.close)
        mysql = self._table(server, layout)
        topic = stack.enter_context(Topic(context, subject.topic, subject.shape))
        letters = DeadLetters(context, subject.topic, subject.alias)
        stack.callback(letters.close)
        cdc = CdcSide(context)
        stack.callback(cdc.close)
        sink = SinkSide(context, subject.topic, topic_id, topic.partitions())
        store = stack.enter_context(Store(context.settings.audit.memory))
        return MysqlAudit(
            subject.table,
            server=server,
            mysql=mysql,
            check=RowCheck(layout, mysql.shown, subject.shape),
            realtime=Realtime(self._client, self._requests, place.name, subject.shape, whole=True),
            passage=Passage(context, cdc, topic, sink),
            excuses=Excuses(topic, letters, subject.shape, store),
            store=store,
        )

    def _report(self, seconds: float) -> TableReport:
        subject, audit = self._subject, self._audit
        counts = dict(audit.counts) if audit else {}
        found = sorted(audit.findings, key=lambda finding: finding.document) if audit else []
        red = any(counts.get(kind) for kind in findings.RED)
        gray = AuditStatus.INCONCLUSIVE if self._reason else AuditStatus.CLEAN
        return TableReport(
            table=subject.table,
            topic=subject.topic,
            topic_id=subject.topic_id or "",
            alias=subject.alias,
            index=self._index.name if self._index else "",
            status=AuditStatus.FINDINGS if red else gray,
            reason=self._reason,
            deep=True,
            keys=audit.keys if audit else 0,
            lagging=audit.lagging if audit else 0,
            counts=counts,
            findings=found,
            findings_cut=sum(counts.values()) > len(found),
            cost=Cost(
                requests=self._requests.count,
                response_bytes=self._requests.response_bytes,
                seconds=round(seconds, 3),
            ),
        )
