"""Whether a partition without a commit may begin at its start: only if nothing of it was indexed before."""

from __future__ import annotations

from dataclasses import dataclass

from confluent_kafka import TopicPartition

from ops.kafka import committed
from ops.settings import Settings
from schemas.errors import OffsetsLostError, UnreachableError
from sink import hints
from sink.barrier import Cluster, is_empty
from sink.part import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacancy:
    """What a look at a partition's documents means."""

    settings: Settings
    cluster: Cluster

    def look(self, part: Part) -> bool:
        """Note that the partition is vacant; then that is all. Raises `OffsetsLostError`, and what is tried again."""
        if part.owned and not is_empty(self.cluster, part) and part.owned:
            self._explain(part)
        part.vacant = True
        return True

    def _explain(self, part: Part) -> None:
        # We may have been frozen, or Elasticsearch slow, for so long that the partition is another sink's by now, and
        # have not heard of it yet. Whoever writes documents has committed before: so this is asked after the look.
        group = self.settings.sink_group
        (place,) = committed(self.settings.kafka, group, [TopicPartition(part.topic, part.number)])
        if place.offset < 0:
            raise OffsetsLostError(
                f"the group {group} has no offset, yet the index holds documents",
                where=f"{part.where}, {part.alias}",
                hint=hints.rebuild(part.table),
            )
        if part.owned:
            raise UnreachableError(f"another sink has {part.where}", where=self.settings.kafka.bootstrap_servers)
