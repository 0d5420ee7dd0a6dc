"""Counts what published events could not carry, and warns of it, without a line for every event."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from cdc.source.seam import Loss, LossKind
from ops import metrics
from ops.log import logger

_log = logger(__name__)

_PERIOD_S = 60
_COUNTERS = {
    LossKind.OMITTED: metrics.CDC_OMITTED_COLUMNS,
    LossKind.UNDECODABLE: metrics.CDC_UNDECODABLE_VALUES,
}
_TEXTS = {
    LossKind.OMITTED: (
        "events of table {} are larger than [kafka] max_event_bytes: published without their largest columns",
        "Documents lack these columns: raise [kafka] max_event_bytes, or keep such values elsewhere.",
    ),
    LossKind.UNDECODABLE: (
        "rows of table {} hold bytes that are no text in their column's character set: published as base64",
        "Mend the values, or the column's character set.",
    ),
}


class LossReport:
    """At most one warning a minute for each table and kind; what came in between is counted in the next one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._warned: dict[tuple[str, LossKind], float] = {}
        self._untold: dict[tuple[str, LossKind], tuple[int, frozenset[str]]] = {}

    def published(self, losses: Iterable[Loss]) -> None:
        """Note the losses of a batch that is committed."""
        for loss in losses:
            _COUNTERS[loss.kind].labels(loss.table).inc(loss.count)
            key = (loss.table, loss.kind)
            count, columns = self._untold.get(key, (0, frozenset()))
            self._untold[key] = (count + loss.count, columns | set(loss.columns))
            if self._clock() >= self._warned.get(key, float("-inf")) + _PERIOD_S:
                self._warn(*key)

    def _warn(self, table: str, kind: LossKind) -> None:
        self._warned[table, kind] = self._clock()
        count, columns = self._untold.pop((table, kind))
        text, hint = _TEXTS[kind]
        names = ", ".join(sorted(columns))
        _log.warning(text.format(table), action=f"columns_{kind}", table=table, columns=names, count=count, hint=hint)
