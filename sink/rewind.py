"""Moves the group's offsets back, with what the sink notes beside them, so that it reads again from there.

What is in the index stays: its versions win over every record that is read again. Only a row that was deleted since can
be seen again, until its delete is read again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from ops.groups import commit_for, members
from ops.kafka import admin, committed, topic_ids
from ops.settings import Settings
from schemas.errors import LockedError, OffsetsLostError, UsageError
from schemas.table import Table
from sink import commit, hints
from sink.commit import Committed
from sink.freshness import unread_since_ms
from sink.place import Places
from sink.retention import retention_s, too_old

_TIMEOUT_S = 15


class State(StrEnum):
    """What becomes of a partition's offset."""

    PLANNED = "planned"  # a dry run: it would be moved
    REWOUND = "rewound"
    UNCHANGED = "unchanged"  # it is there already, or before it: nothing is ever skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to go back to: an offset, or the first record published at or after a time; one of them is None."""

    offset: int | None = None
    since_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One partition's. `old` and `new` are offsets; `noted`: what is committed with the new one."""

    table: str
    topic: str
    number: int
    old: int
    new: int
    noted: Committed
    state: State


class Rewind:
    """One group."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._group = settings.sink_group
        self._where = settings.kafka.bootstrap_servers
        self._admin: AdminClient = admin(settings.kafka, self._group)

    def plan(self, tables: Sequence[Table], partitions: Sequence[int], target: Target) -> list[Move]:
        """What would be moved, in partitions that have a commit; all of a topic's if none is named.

        Raises `LockedError` while the group has members, `OffsetsLostError` for offsets that allow no going on.
        """
        self._refuse_members()
        topics = sorted(table.topic for table in tables)
        ids = topic_ids(self._admin, topics, self._where)
        return [move for table in tables for move in self._table(table, ids.get(table.topic, ""), partitions, target)]

    def _refuse_members(self) -> None:
        if found := members(self._admin, self._group, self._where, _TIMEOUT_S):
            raise self._busy(", ".join(found))

    def _busy(self, who: str) -> LockedError:
        return LockedError(
            f"the group {self._group} has members: {who}",
            where=self._where,
            hint="Stop the sinks first. One that was killed is a member until its session has timed out.",
        )

    def _table(self, table: Table, topic_id: str, partitions: Sequence[int], target: Target) -> Iterator[Move]:
        with Places(self._settings, self._group, table.topic) as places:
            if missing := sorted(set(partitions) - set(places.numbers)):
                raise UsageError(f"{table.topic} has no partition {missing[0]}", hint=f"It has {places.numbers}.")
            numbers = [number for number in places.numbers if not partitions or number in partitions]
            retained_s = retention_s(self._admin, table.topic, self._where) if numbers else 0.0
            wanted = [TopicPartition(table.topic, number) for number in numbers]
            for part in committed(self._settings.kafka, self._group, wanted, _TIMEOUT_S) if wanted else ():
                if part.offset >= 0:
                    noted = self._noted(part, table, topic_id)
                    since_ms = self._unread_since_ms(places, part, noted, table, retained_s)
                    # The clock of unread deletes runs on; those that are read again were applied.
                    yield self._move(places, part, noted._replace(began_ms=since_ms, read_ms=since_ms), table, target)

    def _noted(self, part: TopicPartition, table: Table, topic_id: str) -> Committed:
        where = f"{part.topic}[{part.partition}]"
        noted = commit.decode(part.metadata, where)
        if noted.topic_id != topic_id:
            hint = hints.rebuild(table.full_name)
            what = "the committed offset belongs to a topic of this name that was deleted"
            raise OffsetsLostError(what, where=where, hint=hint)
        return noted

    def _unread_since_ms(
        self, places: Places, part: TopicPartition, noted: Committed, table: Table, retained_s: float
    ) -> int:
        """No record that was never read is older than this: milliseconds since 1970.

        What compaction took before it was read stays lost: going back must not get a sink past its check.
        """
        first = places.first(part.partition, part.offset)
        if first is None:
            return int(time.time() * 1000)
        since_ms = unread_since_ms(
            end=part.offset, offset=first.offset, published_ms=first.published_ms, read_ms=noted.read_ms,
            began_ms=noted.began_ms,
        )  # fmt: skip
        behind_s = time.time() - since_ms / 1000
        if behind_s > retained_s:
            where = f"{part.topic}[{part.partition}] at offset {first.offset}"
            hint = hints.rebuild(table.full_name)
            raise too_old(where, behind_s=behind_s, limit_s=retained_s, hint=hint)
        return since_ms

    def _move(self, places: Places, part: TopicPartition, noted: Committed, table: Table, target: Target) -> Move:
        number, old = part.partition, part.offset
        wanted = places.offset_at(number, target.since_ms) if target.since_ms is not None else target.offset or 0
        new = min(old, max(wanted, places.low(number)))
        if new < old:
            sound = noted.sound if noted.sound and noted.sound.offset < new else None
            noted = noted._replace(seq=places.seq_below(number, new), sound=sound)
        return Move(
            table=table.full_name, topic=table.topic, number=number, old=old, new=new, noted=noted,
            state=State.PLANNED if new < old else State.UNCHANGED,
        )  # fmt: skip

    def apply(self, moves: Sequence[Move]) -> list[Move]:
        """Commit what was planned, all at once. Raises `LockedError` if a sink has started meanwhile."""
        planned = [move for move in moves if move.state is State.PLANNED]
        if planned:
            self._commit([TopicPartition(move.topic, move.number, move.new, move.noted.encode()) for move in planned])
        return [replace(move, state=State.REWOUND) if move.state is State.PLANNED else move for move in moves]

    def _commit(self, places: list[TopicPartition]) -> None:
        if not commit_for(self._settings, self._group, places, self._group):
            raise self._busy("a sink has just started")
