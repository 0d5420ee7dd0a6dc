"""How far the sink is, as its group's committed offsets tell."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from confluent_kafka import TopicPartition

from auditor.run_context import Context
from ops.kafka import committed
from ops.log import logger
from schemas.errors import LaggingError, RefusedError

_log = logger(__name__)

_TIMEOUT_S = 15
_POLL_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Partition -> offset below which every record is settled. `seen` False: nobody said so, time has passed."""

    offsets: Mapping[int, int]
    seen: bool


class SinkSide:
    """The sink's group and one topic."""

    def __init__(self, context: Context, topic: str, topic_id: str, partitions: Sequence[int]) -> None:
        self._context = context
        self._group = context.settings.sink_group
        self._topic = topic
        self._topic_id = topic_id
        self._partitions = partitions
        self._hidden = False

    def committed(self) -> dict[int, int] | None:
        """Partition -> committed offset, partitions without one absent; None if the group may not be looked at.

        A group that is not there, or has committed nothing, belongs to a sink that has not got anywhere yet.
        """
        if self._hidden:
            return None
        places = [TopicPartition(self._topic, number) for number in self._partitions]
        try:
            parts = committed(self._context.settings.kafka, self._group, places, _TIMEOUT_S)
        except RefusedError as error:
            self._hidden = True
            _log.warning("the sink's group may not be looked at, so the audit waits for as long as it may",
                         action="group_hidden", group=self._group, reason=str(error), hint=error.hint)  # fmt: skip
            return None
        return {part.partition: part.offset for part in parts if part.offset >= 0 and self._is_mine(part)}

    def _is_mine(self, part: TopicPartition) -> bool:
        """False if the offset was committed for another topic of the same name, one that was deleted since."""
        try:
            noted = orjson.loads(part.metadata or "{}").get("topic_id", self._topic_id)
        except (ValueError, AttributeError):
            return True  # another kind of sink commits whatever it likes
        return bool(noted == self._topic_id)

    def wait(self, last_read: Mapping[int, int], high: Mapping[int, int]) -> Settled:
        """Wait until the sink is past the last record read of every partition (H itself counts markers).

        Where its group may not be looked at, wait `[audit] wait_s` and take the index as it is. Raises `LaggingError`
        if the sink does not get there in that time.
        """
        deadline = time.monotonic() + self._context.settings.audit.wait_s
        while True:
            self._context.pulse()
            committed = self.committed()
            behind = _behind(committed or {}, last_read)
            if not behind:
                return Settled(offsets=_with(committed or {}, high), seen=True)
            if time.monotonic() > deadline:
                break
            self._context.stop.wait(_POLL_S)
        if committed is None:
            return Settled(offsets=dict(high), seen=False)
        raise self._lagging(behind, committed, last_read)

    def now(self, before: Settled) -> Settled:
        """How far it is by now, never less than it was."""
        committed = self.committed() if before.seen else None
        if committed is None:
            return before
        return Settled(
            offsets={part: max(offset, committed.get(part, 0)) for part, offset in before.offsets.items()}, seen=True
        )

    def _lagging(
        self, behind: Sequence[int], committed: Mapping[int, int], last_read: Mapping[int, int]
    ) -> LaggingError:
        part = behind[0]
        others = f", and {len(behind) - 1} more partitions" if len(behind) > 1 else ""
        return LaggingError(
            f"the sink (group {self._group}) is at offset {committed.get(part, 'nothing')} of partition {part}"
            f" and has to pass {last_read[part]}{others}",
            where=self._topic,
            hint="See `tidemark status`: start the sink, or give it longer with [audit] wait_s.",
        )


def _behind(committed: Mapping[int, int], last_read: Mapping[int, int]) -> list[int]:
    return [part for part, offset in sorted(last_read.items()) if committed.get(part, -1) <= offset]


def _with(committed: Mapping[int, int], high: Mapping[int, int]) -> dict[int, int]:
    return {part: max(offset, committed.get(part, 0)) for part, offset in high.items()}
