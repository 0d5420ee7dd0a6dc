"""How a session takes the source over in Kafka: fence, read, claim, and end what an earlier one left without an end.

Kafka (4.3) can forget which partitions a transaction had, when a broker is killed. Their records are then neither
committed nor aborted, and share the fate of the next transaction of the same producer there: so each gets one of ours
that ends as theirs should have.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import orjson

from cdc.echo import echo
from cdc.fate import Fate, Judge, of_notes
from cdc.hanging import Held, Place, changes, hanging, raw
from cdc.last_seq import highest_seq
from cdc.position_store import CLAIM_KEY, POSITION_KEY, PositionStore, Stored
from cdc.publisher import Publisher
from cdc.source.seam import Record
from cdc.topics import Topics
from ops.log import logger
from ops.settings import Settings
from schemas.errors import HangingTransactionError
from schemas.names import schema_topic
from schemas.position import SEQ_STEP, Position

_log = logger(__name__)

_MARKERS_S = 2  # Kafka writes the end of a transaction into its partitions after it has answered
_ENDED_S = 10
_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """Of one session, or of a reset. `claimed`: this process has owned the source before."""

    settings: Settings
    publisher: Publisher
    store: PositionStore
    topics: Topics
    wanted: Callable[[], bool]
    claimed: bool = False
    over_damage: bool = False

    def run(self) -> Stored:
        """The position to go on from. Raises `TidemarkError`."""
        self.publisher.open()
        # Our claim would end, as a commit, what hangs there.
        barred = self._left([(self.store.topic, 0)], _MARKERS_S)
        stored = self.store.read(wanted=self.wanted, over_damage=self.over_damage)
        if self.claimed and not (stored.claimant or barred):
            raise self.store.gone()
        for claim in (stored, *self._hidden_claims(barred)):
            if self.claimed and not self.store.is_ours(claim):
                raise self.store.fenced(claim)
            self.publisher.follow(claim)
        if not barred:
            self.publisher.claim()
        ours = self._ours(stored, self._hanging(self._parts()))
        left = self._left([(place.topic, place.partition) for place in ours], _MARKERS_S)
        if barred or left:
            stored = self._end(stored, [*barred, *left])
        if barred:
            self.publisher.claim()
        return stored

    def _hidden_claims(self, barred: Sequence[Place]) -> list[Stored]:
        records = [record for place in barred for record in raw(self.settings.kafka, self.settings.source.name, place)]
        values = [record.value for record in records if record.key == CLAIM_KEY and record.value]
        return [self.store.claim_of(value, over_damage=self.over_damage) for value in values]

    def _parts(self) -> list[tuple[str, int]]:
        """All but that of the positions, where our claim's marker may be on its way."""
        source = self.settings.source.name
        counts = {**self.topics.of_source(), schema_topic(source): 1}
        return [(topic, number) for topic, partitions in counts.items() for number in range(partitions)]

    def _hanging(self, parts: Sequence[tuple[str, int]]) -> list[Place]:
        return hanging(self.settings.kafka, self.settings.source.name, parts)

    def _ours(self, stored: Stored, places: Sequence[Place]) -> list[Place]:
        """All but what another writes to a topic that is named like one of ours: nobody waits for that."""
        source = self.settings.source.name
        sure = {schema_topic(source), *(stored.position.partitions if stored.position else ())}
        found = []
        for place in places:
            if place.topic in sure or changes(place, raw(self.settings.kafka, source, place), source).seqs:
                found.append(place)
            else:
                _log.warning(f"{place}: another's open transaction", action="foreign_topic", topic=place.topic)
        return found

    def _left(self, parts: Sequence[tuple[str, int]], patience_s: float) -> list[Place]:
        """What still hangs after a while."""
        deadline = time.monotonic() + patience_s
        while (left := self._hanging(parts)) and time.monotonic() < deadline:
            self.publisher.wait(_POLL_S)
        return left

    def _end(self, stored: Stored, left: Sequence[Place]) -> Stored:
        helds, hidden = self._read(left)
        seen = self._visible(stored, hidden)
        rows = [held.seqs for held in helds if held.seqs]
        committed_seq = stored.position.seq if stored.position else None
        judge = Judge(committed_seq, [position.seq for position in hidden], seen, rows)
        fates = self._fates(helds, judge)
        for place in (held.place for held, fate in fates if fate is Fate.UNKNOWN):
            raise self._stuck("Kafka lost the end of a transaction, and it cannot be told if it was committed", place)
        aborted, committed = ([held for held, fate in fates if fate is wanted] for wanted in (Fate.ABORT, Fate.COMMIT))
        _log.warning(
            "Kafka left a transaction open",
            action="hanging_transaction",
            aborted=[str(held.place) for held in aborted],
            committed=[str(held.place) for held in committed],
        )
        position = hidden[-1] if hidden and judge.positions is Fate.COMMIT else stored.position
        if aborted:
            # Above all of it: else the next look finds two transactions.
            highest = max((held.seqs[1] for held in aborted if held.seqs), default=0)
            self.publisher.end(self._echoes(aborted, highest)[0], commit=False)
            # A later start must not find it beside a position whose seq the commit has raised above it.
            self._await_ended([held.place for held in aborted])
        if committed and position is not None:
            position = self._commit(committed, position)
            self._await_ended([held.place for held in committed])
        return replace(stored, position=position, unclean=True)

    def _read(self, left: Sequence[Place]) -> tuple[list[Held], list[Position]]:
        source = self.settings.source.name
        helds: list[Held] = []
        hidden: list[Position] = []
        for place in left:
            records = raw(self.settings.kafka, source, place)
            if place.topic in (self.store.topic, schema_topic(source)):
                found = list(records)
                hidden += [self.store.position_of(r.value) for r in found if r.key == POSITION_KEY and r.value]
                helds.append(Held(place=place, last=found[-1] if found else None))
            else:
                helds.append(changes(place, records, source))
        return helds, hidden

    def _visible(self, stored: Stored, hidden: Sequence[Position]) -> Callable[[], int]:
        def look() -> int:
            own = {name for position in (stored.position, *hidden) if position for name in position.partitions}
            return highest_seq(self.settings, self.topics.of_source(), own=own)

        return look

    def _fates(self, helds: Sequence[Held], judge: Judge) -> list[tuple[Held, Fate]]:
        notes = [held for held in helds if held.place.topic == schema_topic(self.settings.source.name)]
        fates = [(held, self._fate(held, judge)) for held in helds if held not in notes]
        return [*fates, *((held, of_notes(fate for _, fate in fates)) for held in notes)]

    def _fate(self, held: Held, judge: Judge) -> Fate:
        if held.last is None:
            return Fate.UNKNOWN
        if held.place.topic == self.store.topic:
            return judge.positions
        return judge.changes(*held.seqs) if held.seqs else Fate.UNKNOWN

    def _echoes(self, helds: Sequence[Held], seq: int) -> tuple[list[Record], int]:
        """A record for each partition, and the highest seq that they have then."""
        found = []
        for held in helds:
            seq += SEQ_STEP
            if held.last is not None:
                found.append(held.last if held.seqs is None else echo(held.last, seq))
        return found, seq

    def _commit(self, helds: Sequence[Held], position: Position) -> Position:
        # If we are killed in here, after the first record and before the commit, Kafka aborts both.
        tables = [held for held in helds if held.place.topic != self.store.topic]
        records, seq = self._echoes(tables, position.seq)
        position = replace(position, seq=seq)
        record = Record(self.store.topic, 0, POSITION_KEY, orjson.dumps(position.to_json()))
        self.publisher.end([*records, record], commit=True)
        return position

    def _await_ended(self, places: Sequence[Place]) -> None:
        parts = [(place.topic, place.partition) for place in places]
        if not (late := self._left(parts, _ENDED_S)):
            return
        # Kafka begins no transaction of ours before it has written the last one's end everywhere.
        self.publisher.claim()
        left = [place for place in self._left(parts, _MARKERS_S) if place in late or place.topic != self.store.topic]
        if left:
            raise self._stuck("a transaction of another producer has no end in Kafka", left[0])

    def _stuck(self, what: str, place: Place) -> HangingTransactionError:
        servers = self.settings.kafka.bootstrap_servers
        tool, part = f"kafka-transactions.sh --bootstrap-server {servers}", place.options
        return HangingTransactionError(
            what,
            where=f"{place} on {servers}",
            hint=f"`{tool} find-hanging {part} --max-transaction-timeout 0` lists it; `{tool} abort {part} "
            f"--start-offset {place.start}` ends it, and throws its records away. "
            "Which rows to rewrite after it: docs/errors/hanging-transaction.md.",
        )
