"""Which tables are captured, and the topic and partitions that their events go to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from schemas import names
from schemas.table import full_name, plain

#: MySQL's own; their tables change without anybody's doing, and some have engines that never reach the binlog.
SYSTEM_SCHEMAS = frozenset({"mysql", "sys", "information_schema", "performance_schema"})


class TableFilter:
    """`[cdc] tables` and `exclude`: glob patterns on `database.table`, matched in linear time and by case."""

    def __init__(self, tables: Sequence[str], exclude: Sequence[str] = ()) -> None:
        self._tables = tuple(tables)
        self._exclude = tuple(exclude)

    def matches(self, db: str, table: str) -> bool:
        """True if the patterns want the table. System schemas never match, whatever the pattern."""
        if db.lower() in SYSTEM_SCHEMAS:
            return False
        name = f"{db}.{table}"
        return _any(name, self._tables) and not _any(name, self._exclude)


def _any(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


class TableRouter:
    """The `Router` of a source.

    `topics`: `database.table` -> topic, for tables that have one already; it stays theirs. `pinned`: topic -> partition
    count, from the position. `count`: the partition count of a topic that is not pinned yet.
    """

    def __init__(
        self,
        source: str,
        wanted: TableFilter,
        *,
        topics: Mapping[str, str],
        pinned: Mapping[str, int],
        count: Callable[[str], int],
    ) -> None:
        self._source = source
        self._wanted = wanted
        self._topics = dict(topics)
        self._pinned = dict(pinned)
        self._count = count
        self._refused: set[str] = set()
        self._captured: dict[tuple[str, str], bool] = {}

    def wants(self, db: str, table: str) -> bool:
        """True if the table matches the patterns, whatever was found against it."""
        return self._wanted.matches(db, table)

    def captures(self, db: str, table: str) -> bool:
        """True if the table's rows are wanted: it matches the patterns, and nothing was found against it."""
        known = self._captured.get((db, table))
        if known is None:
            known = self.wants(db, table) and plain(db) and full_name(db, table) not in self._refused
            self._captured[db, table] = known
        return known

    def refuse(self, full_names: Iterable[str]) -> None:
        """Leave out exactly these tables, whatever the patterns say."""
        self._refused = set(full_names)
        self._captured.clear()

    def topic(self, db: str, table: str) -> str:
        """The table's topic. Who comes second with a name that Kafka takes for the same gets a hashed one."""
        name = full_name(db, table)
        if name not in self._topics:
            self._topics[name] = names.topic(self._source, db, table, taken=frozenset(self._topics.values()))
        return self._topics[name]

    def partitions(self, topic: str) -> int:
        """The topic's partition count, pinned from the first use on."""
        if topic not in self._pinned:
            self._pinned[topic] = self._count(topic)
        return self._pinned[topic]
