"""Where a report goes besides the screen: files, the index that keeps audits, metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry

from auditor import known, report_metrics, shelf, successes
from auditor.archive import Archive
from auditor.report_html import to_html
from auditor.report_json import to_json
from auditor.report_metrics import Served
from auditor.run_context import Context
from ops.log import logger
from schemas.errors import TidemarkError, UsageError
from schemas.report import AuditReport

_log = logger(__name__)


class Outputs:
    """Files that were asked for on the command line, and what the configuration names.

    `some`: names or patterns, where reports are about some tables only; `served`: where a service shows its metrics.
    """

    def __init__(
        self, context: Context, *, output: Path | None = None, html: Path | None = None, some: Sequence[str] = (),
        served: Served | None = None,
    ) -> None:  # fmt: skip
        self._context = context
        self._settings = context.settings.audit
        self._output = output
        self._html = html
        self._some = some
        self._served = served

    def check(self) -> None:
        """Raise `UsageError` now for a file that could not be written after a long audit."""
        for place in (self._output, self._html, self._settings.metrics_file):
            if place is not None and not place.parent.is_dir():
                raise UsageError("the report cannot be written: there is no such folder", where=str(place.parent))

    def deliver(self, report: AuditReport, *, keep: bool = True, measure: bool = True) -> TidemarkError | None:
        """Hand it to all of them, whatever becomes of the others; the first error, each of them logged.

        `keep` False: not to the index that keeps audits; `measure` False: the metrics stay as they are.
        """
        first: TidemarkError | None = None
        for way in self._ways(keep=keep, measure=measure):
            try:
                way(report)
            except TidemarkError as error:
                _log.error("the report did not get everywhere", action="report_undelivered", code=error.code,
                           reason=str(error), hint=error.hint)  # fmt: skip
                first = first or error
        return first

    def _ways(self, *, keep: bool, measure: bool) -> Iterator[Callable[[AuditReport], None]]:
        if output := self._output:
            yield lambda report: shelf.write(output, to_json(report))
        if html := self._html:
            yield lambda report: shelf.write(html, to_html(report))
        if measure:
            yield from self._metrics()
        if keep and self._settings.reports_index:
            yield self._archive

    def _metrics(self) -> Iterator[Callable[[AuditReport], None]]:
        def measured(report: AuditReport) -> CollectorRegistry:
            now = known.upto(report, some=self._some)
            return report_metrics.registry(report, successes.upto(report), now)

        if served := self._served:
            yield lambda report: served.show(measured(report))
        if place := self._settings.metrics_file:
            yield lambda report: report_metrics.write(place, measured(report))
        if self._settings.pushgateway:
            yield lambda report: report_metrics.push(self._settings, report, measured(report))
        if self._settings.metrics_file or self._settings.pushgateway or self._served:
            yield successes.note
            yield lambda report: known.note(report, some=self._some)

    def _archive(self, report: AuditReport) -> None:
        with Archive(self._context) as archive:
            archive.keep(report)
