"""Tables that an interrupted audit had found clean are not audited again, as long as nothing at all has changed since.

Nothing: no record came to the topic, none went, and no write reached the index, by its shards' own count of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch
from pydantic import ValidationError

from auditor import shelf
from auditor.requests import Requests
from auditor.run_context import Context, StoppedError
from auditor.table_audit import Subject
from auditor.topic import Topic
from auditor.window import windows
from ops.log import logger
from schemas.errors import TidemarkError, UsageError
from schemas.event import VERSION
from schemas.report import AuditStatus, TableReport

_log = logger(__name__)


class Finished:
    """Kept while an audit runs; forgotten when it is done (`forget`)."""

    def __init__(self, context: Context, client: Elasticsearch) -> None:
        self._context = context
        self._client = client
        self._requests = Requests(context)
        self._folder = shelf.folder(context.settings.source.name) / "open"
        with suppress(OSError):  # then nothing is kept, and the audit says so
            self._folder.mkdir(exist_ok=True)

    def of(self, subject: Subject, audit: Callable[[], TableReport]) -> TableReport:
        """The table's report: of the interrupted audit, if it is as true as then, or a new one."""
        if subject.shape.rules.transform:
            return audit()  # its code may have changed, which no state tells
        before = self._state(subject)
        known = self._known(subject, before)
        if known is not None:  # of a state that could be told
            _log.info("this table was done, and nothing has changed since", action="audit_kept", table=subject.table)
            return known
        report = audit()
        # What Elasticsearch refused is told by other topics, and what was found by what somebody does about it.
        if report.status is AuditStatus.CLEAN and not report.counts and before and before == self._state(subject):
            self._keep(subject, before, report)
        return report

    def _keep(self, subject: Subject, state: str, report: TableReport) -> None:
        kept = {"state": state, "report": report.model_dump(mode="json", by_alias=True)}
        try:
            shelf.write(self._place(subject), json.dumps(kept).encode())
        except UsageError as error:  # there is no room, mostly: the audit itself needs none of it
            _log.warning("a clean table cannot be put aside: an audit after an interruption audits it again",
                         action="audit_not_kept", table=subject.table, reason=str(error))  # fmt: skip

    def forget(self) -> None:
        for place in self._folder.glob("*.json"):
            with suppress(OSError):  # what is left is taken up only if nothing has changed
                place.unlink(missing_ok=True)

    def _place(self, subject: Subject) -> Path:
        return self._folder / f"{hashlib.sha256(subject.topic.encode()).hexdigest()[:16]}.json"

    def _known(self, subject: Subject, state: str) -> TableReport | None:
        try:
            kept = json.loads(self._place(subject).read_bytes())
            report = TableReport.model_validate(kept["report"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, ValidationError):
            return None  # damaged: the table is audited, and this is written anew
        if not state or kept["state"] != state or not report.windows:
            return None
        with Topic(self._context, subject.topic, subject.shape) as topic:
            now = windows(topic, self._context.partitions)
        same = [(part.partition, part.low, part.high) for part in now.parts]
        audited = [(part.partition, part.low, part.high) for part in report.windows]
        return report if same == audited and now.count == report.partitions else None

    def _state(self, subject: Subject) -> str:
        """Whatever the result depends on, besides the topic's records; empty if it cannot be told."""
        try:
            written = self._writes(subject)
        except StoppedError:
            raise
        except (TidemarkError, LookupError):  # what is wrong the audit of the table will say
            return ""
        facts = {
            "version": VERSION,
            "topic_id": subject.topic_id,
            "rules": asdict(subject.shape.rules),
            "deep": self._context.deep,
            "since": self._context.since.text if self._context.since else "",
            "index": written,
        }
        return json.dumps(facts, default=sorted, sort_keys=True)

    def _writes(self, subject: Subject) -> dict[str, Any]:
        """Index -> its id, and how many writes each shard has had. Raises `LookupError` if a shard does not say so."""
        found = self._requests.send(
            "counting writes",
            lambda: self._client.indices.stats(index=subject.alias, level="shards", metric="docs"),
        )
        if found["_shards"]["failed"]:
            raise LookupError
        return {
            name: [about["uuid"], {number: _of_shard(copies) for number, copies in about["shards"].items()}]
            for name, about in found["indices"].items()
        }


def _of_shard(copies: list[dict[str, Any]]) -> list[Any]:
    """Its history and its last sequence number: every write and every delete has the next one."""
    [primary] = [copy for copy in copies if copy["routing"]["primary"]] or [{}]
    return [primary["commit"]["user_data"]["history_uuid"], primary["seq_no"]["max_seq_no"]]
