"""Which topics of a cluster are a source's own: on a shared one, others may be named alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cdc.inventory import TableFacts
from cdc.last_seq import highest_seq
from cdc.route import TableFilter, TableRouter
from cdc.topics import Topics
from ops.settings import Settings
from schemas.errors import PositionLostError
from schemas.names import schema_topic
from schemas.position import Position
from schemas.table import Table

_BACK = 2  # an event, and the marker of its transaction


class OwnTopics:
    """Judges topics. `found`: tables that the server has. `known`: `database.table` -> its layout in `__schema`."""

    def __init__(
        self,
        settings: Settings,
        topics: Topics,
        *,
        found: Iterable[TableFacts],
        known: Mapping[str, Table],
        position: Position | None,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._described = {table.topic for table in known.values()}
        wanted = TableFilter(settings.cdc.tables, settings.cdc.exclude)
        given = {name: table.topic for name, table in known.items()}
        router = TableRouter(settings.source.name, wanted, topics=given, pinned={}, count=topics.count)
        self._names = self._described | {router.topic(t.db, t.name) for t in found if router.captures(t.db, t.name)}
        if position is not None:
            self._names |= position.partitions.keys()

    def highest_seq(self) -> int:
        """The highest seq in any topic of the source, those of tables that are captured no more included."""
        return highest_seq(self._settings, self._topics.of_source(), own=self._names)

    def check_newest(self, position: Position) -> None:
        """Raise `PositionLostError` if one of them holds an event that comes after the stored position."""
        topics = {name: count for name, count in self._topics.of_source().items() if name in self._names}
        seen = highest_seq(
            self._settings, topics, own=(), back=_BACK
        )  # a foreign record stops those who read the topic
        if seen > position.seq:
            place = f"gtid:{position.gtid_set}" if position.gtid_set else f"file:{position.file}:{position.pos}"
            raise PositionLostError(
                f"the stored position is older than the events in the topics: its seq is {position.seq}, theirs {seen}",
                where=f"source {self._settings.source.name} on {self._settings.kafka.bootstrap_servers}",
                hint="Going on from it would publish those a second time, with the same seq. Where a position was "
                "written back by hand, only the very last one will do. Otherwise `tidemark cdc position reset --to "
                f"'{place}'`: what comes after it is published again, above all that is there.",
            )

    def check_described(self) -> None:
        """Raise `PositionLostError` if a topic holds events whose layouts `__schema` does not have."""
        unknown = self._names - self._described
        topics = {name: count for name, count in self._topics.of_source().items() if name in unknown}
        holding = [name for name in sorted(topics) if highest_seq(self._settings, {name: topics[name]}, own=topics)]
        if holding:
            raise PositionLostError(
                f"{schema_topic(self._settings.source.name)} has no layouts for the events in {', '.join(holding)}",
                where=self._settings.kafka.bootstrap_servers,
                hint="Table versions would begin at 1 again, and events be read with other events' columns. Restore "
                "the topic from a backup; or begin anew, under another [source] name.",
            )
