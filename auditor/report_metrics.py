"""The metrics of an audit: as a text file for node_exporter, pushed to a Pushgateway, or served.

What was not proven is not green: `tidemark_audit_clean` is 1 only for a clean audit of every partition, and the time
of the last success stays where it was, also after a clean audit of what came since some time. A run that died without a
word shows in that time alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from prometheus_client import CollectorRegistry, Gauge, Metric, push_to_gateway, write_to_textfile
from prometheus_client.exposition import basic_auth_handler
from prometheus_client.registry import Collector

from auditor.known import Known
from ops.settings import AuditSettings, read_secret
from schemas.errors import RefusedError, UnreachableError, UsageError
from schemas.report import AuditReport, FindingClass

JOB = "tidemark_audit"
_TIMEOUT_S = 15
_AUTH = (401, 403)


def registry(report: AuditReport, successes: Mapping[str, float], known: Known) -> CollectorRegistry:
    """`successes`: table -> when its last clean audit ended, in seconds since 1970; `known`: with this report."""
    made = CollectorRegistry()
    gauge = partial(_gauge, made, (report.name, report.against.value))
    gauge("clean", "1 if the last audit was clean, of every partition, and so is every table")(known.green)
    gauge("last_run_timestamp_seconds", "End of the last audit, whatever came of it")(report.finished.timestamp())
    gauge("duration_seconds", "Duration of the last audit")((report.finished - report.started).total_seconds())
    success = gauge("last_success_timestamp_seconds", "End of the last clean audit", "table")
    for table, ended in successes.items():
        success(ended, table)
    clean = gauge("table_clean", "1 if the last audit of the table was clean, of every partition", "table")
    keys = gauge("keys", "Keys that the last audit compared", "table")
    lagging = gauge("lagging_keys", "Keys that differed because of events not due yet", "table")
    unsettled = gauge("unsettled_keys", "Keys that were being written, judged one by one", "table")
    requests = gauge("requests", "Requests that the last audit sent to Elasticsearch", "table")
    findings = gauge("findings", "Findings of the last audit that came to an end", "table", "kind")
    for table, one in known.tables.items():
        clean(one.clean, table)
        keys(one.keys, table)
        lagging(one.lagging, table)
        unsettled(one.unsettled, table)
        requests(one.requests, table)
        for kind in FindingClass:
            findings(one.counts.get(kind, 0), table, kind.value)
    return made


class Served(Collector):
    """The same at a service's `/metrics`: of the last round; nothing before the first has ended."""

    def __init__(self) -> None:
        self.last = CollectorRegistry()

    def collect(self) -> Iterable[Metric]:
        return self.last.collect()

    def show(self, made: CollectorRegistry) -> None:
        self.last = made


def _gauge(
    made: CollectorRegistry, which: tuple[str, str], metric: str, text: str, *labels: str
) -> Callable[..., None]:
    gauge = Gauge(f"tidemark_audit_{metric}", text, ["source", "against", *labels], registry=made)
    return lambda value, *values: gauge.labels(*which, *values).set(value)


def write(place: Path, made: CollectorRegistry) -> None:
    """Write the text file, whole or not at all. Raises `UsageError` if that is not possible."""
    try:
        write_to_textfile(str(place), made)
    except OSError as error:
        raise UsageError(f"the metrics cannot be written: {error.strerror}", where=str(place)) from None


def push(settings: AuditSettings, report: AuditReport, made: CollectorRegistry) -> None:
    """Replace what an earlier audit of this pipeline and kind pushed. Raises `UnreachableError` or `RefusedError`."""
    try:
        group = {"source": report.name, "against": report.against.value}
        push_to_gateway(settings.pushgateway, JOB, made, group, timeout=_TIMEOUT_S, handler=_handler(settings))
    except (OSError, HTTPException) as error:  # urllib's errors are OSErrors, http.client's are not
        status = error.code if isinstance(error, HTTPError) else None
        if isinstance(error, HTTPError):
            error.close()
        kind = RefusedError if status in _AUTH else UnreachableError
        raise kind(
            f"the Pushgateway does not take the metrics: {error}", where=settings.pushgateway,
            hint="Check [audit] pushgateway, and its user and password.",
        ) from None  # fmt: skip


def _handler(settings: AuditSettings) -> Callable[..., Callable[[], None]]:
    password: Any = None
    if settings.pushgateway_password_file is not None:
        password = read_secret(settings.pushgateway_password_file).rstrip("\r\n")
    return partial(basic_auth_handler, username=settings.pushgateway_user or None, password=password)
