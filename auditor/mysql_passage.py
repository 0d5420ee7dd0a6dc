"""Waits until what MySQL had committed has reached the index, as cdc's position and the sink's offsets tell."""

from __future__ import annotations

from collections.abc import Mapping

from auditor.cdc_side import CdcSide
from auditor.decode import place
from auditor.markers import decided
from auditor.mysql_server import Mark
from auditor.run_context import Context
from auditor.sink_side import SinkSide
from auditor.topic import Topic
from schemas.watermark import Watermark


class Passage:
    """One topic on its way from MySQL to the index."""

    def __init__(self, context: Context, cdc: CdcSide, topic: Topic, sink: SinkSide) -> None:
        self._context = context
        self._cdc = cdc
        self._topic = topic
        self._sink = sink

    def wait(self, mark: Mark) -> None:
        """Wait until the sink has settled everything below the mark. Raises `LaggingError` if that takes too long."""
        self._cdc.wait(mark)
        ends = decided(self._context, self._topic)
        self._sink.wait(self._last_open(ends), ends)

    def _last_open(self, ends: Mapping[int, int]) -> dict[int, int]:
        """Partition -> offset of the last record that the sink has not settled: an end also counts markers."""
        settled = self._sink.committed() or {}
        windows = []
        for part, end in ends.items():
            low = max(self._topic.watermark(part).low, settled.get(part, 0))
            windows.append(Watermark(partition=part, low=low, high=end))
        last: dict[int, int] = {}
        for messages in self._topic.messages(windows):
            last |= dict(map(place, messages))
        return last
