"""Reports are kept in Elasticsearch too: an index with a mapping of its own, one document an audit."""

from __future__ import annotations

from typing import Any, Self

import orjson
from elasticsearch import Elasticsearch
from pydantic import ValidationError

from auditor.report_json import to_json
from auditor.requests import Requests
from auditor.run_context import Context
from ops import elastic
from ops.log import logger
from schemas.audits import AuditSummary
from schemas.errors import FormatError, IndexForeignError, PartialAnswerError, UnsafeError
from schemas.report import AuditReport, FindingClass

_log = logger(__name__)

KEPT = 1000
_META = {"tidemark": {"format": 1, "holds": "audits"}}
_TYPES = {
    "keyword": ("id", "name", "against", "status", "tables"),
    "text": ("reason",),
    "boolean": ("whole",),
    "date": ("started", "finished"),
    "long": ("keys", "requests", "repaired"),
}
MAPPINGS = {
    "_meta": _META,
    "dynamic": False,
    "properties": {
        **{name: {"type": kind} for kind, names in _TYPES.items() for name in names},
        "counts": {"properties": {kind.value: {"type": "long"} for kind in FindingClass}},
        "report": {"type": "object", "enabled": False},  # all of it: kept, not searched
    },
}


class Archive:
    """The index `[audit] reports_index`. Made when the first report is kept."""

    def __init__(self, context: Context) -> None:
        self.index = context.settings.audit.reports_index
        self._name = context.settings.source.name
        self._client: Elasticsearch = elastic.client(context.settings.elasticsearch)
        self._requests = Requests(context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def keep(self, report: AuditReport) -> None:
        """Write it, over an earlier form of the same report. Raises `IndexForeignError` if the index is not ours."""
        if not self._there():
            self._make()
        document = {**AuditSummary.of(report).model_dump(mode="json"), "report": orjson.loads(to_json(report))}
        self._requests.send(
            "keeping the report",
            lambda: self._client.index(index=self.index, id=report.id, document=document, refresh=True),
        )
        self._prune()

    def read(self, id_: str) -> AuditReport | None:
        """The report of that id, None if there is none."""
        if not self._there():
            return None
        found = self._search(size=1, query={"ids": {"values": [id_]}}, source=["report"])
        return _report(found[0]) if found else None

    def last(self) -> AuditReport | None:
        """The pipeline's newest."""
        found = self._newest(size=1, source=["report"]) if self._there() else []
        return _report(found[0]) if found else None

    def listed(self, size: int = KEPT) -> list[AuditSummary]:
        """The pipeline's, the newest first; without those that this version cannot read."""
        found = self._newest(size=size, source={"excludes": ["report"]}) if self._there() else []
        return [summary for hit in found if (summary := _summary(hit)) is not None]

    def _there(self) -> bool:
        """True if the index is there. Raises `IndexForeignError` if it is somebody else's."""
        found = self._requests.send(
            f"looking for {self.index}",
            lambda: self._client.indices.get_mapping(
                index=self.index, ignore_unavailable=True, allow_no_indices=True, expand_wildcards="all"
            ),
        )
        if not found:
            return False
        if any(about["mappings"].get("_meta") != _META for about in found.values()):
            raise IndexForeignError(
                f"{self.index} was not made by tidemark for its audits, so no report is kept in it",
                hint="Name another one with [audit] reports_index.",
            )
        return True

    def _make(self) -> None:
        settings = {"number_of_shards": 1, "auto_expand_replicas": "0-1"}
        try:
            self._requests.send(
                f"making {self.index}",
                lambda: self._client.indices.create(index=self.index, mappings=MAPPINGS, settings=settings),
            )
        except UnsafeError:
            if not self._there():  # another audit may have made it meanwhile
                raise

    def _prune(self) -> None:
        old = [hit["_id"] for hit in self._newest(start=KEPT, size=100, source=False)]
        if old:
            deletes = [{"delete": {"_index": self.index, "_id": id_}} for id_ in old]
            self._requests.send("removing old reports", lambda: self._client.bulk(operations=deletes))

    def _newest(self, **body: Any) -> list[dict[str, Any]]:
        body["from_"] = body.pop("start", 0)
        return self._search(query={"term": {"name": self._name}}, sort=[{"id": "desc"}], **body)

    def _search(self, **body: Any) -> list[dict[str, Any]]:
        answer = self._requests.send(
            "looking for reports",
            lambda: self._client.search(index=self.index, allow_partial_search_results=False, **body),
        )
        if answer["timed_out"] or answer["_shards"]["failed"]:
            raise PartialAnswerError("not every shard answered", where=self.index)
        found: list[dict[str, Any]] = answer["hits"]["hits"]
        return found


def _summary(hit: dict[str, Any]) -> AuditSummary | None:
    """None for one that a newer tidemark has kept and this one does not understand, which is said in the log."""
    known = {name: value for name, value in hit["_source"].items() if name in AuditSummary.model_fields}
    try:
        return AuditSummary.model_validate(known)
    except ValidationError:
        _log.warning("a kept report cannot be listed", action="report_unreadable", id=hit["_id"], where=hit["_index"],
                     hint="Upgrade tidemark.")  # fmt: skip
        return None


def _report(hit: dict[str, Any]) -> AuditReport:
    try:
        return AuditReport.model_validate_json(orjson.dumps(hit["_source"]["report"]))
    except (KeyError, ValidationError):
        raise FormatError(
            f"report {hit['_id']} is none that this version reads", where=hit["_index"], hint="Upgrade tidemark."
        ) from None
