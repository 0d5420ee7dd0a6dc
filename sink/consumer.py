"""Membership in the consumer group: which partitions are ours, where they begin, what is committed.

All of it happens in the thread that polls, the callbacks included.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ops import crashpoint
from ops.kafka import consumer, translate
from ops.log import logger
from ops.settings import Settings
from schemas.errors import IndexForeignError, IndexRulesError, OffsetsLostError, TidemarkError, UnsafeError
from sink import commit, hints
from sink.commit import Sound
from sink.freshness import Freshness
from sink.lease import Lease
from sink.membership import Membership
from sink.offsets import Mark
from sink.part import Part
from sink.trouble import Fault, Troubles
from sink.watch import Target

_log = logger(__name__)

_META_TIMEOUT_S = 10
_MOST_AT_ONCE = 4000
_NOTE_S = 20.0  # how often what is noted beside the offsets is renewed
_DRAIN_S = 10.0
_LOOK_S = 2.0

ELSEWHERE = (IndexForeignError, IndexRulesError)  # what was written since the last look may be in another index

_NO_SUCH_OFFSET = {
    KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001  librdkafka's local errors begin with an underscore
    KafkaError.OFFSET_OUT_OF_RANGE,
}


class Group:
    """Our place in the group. `targets`: topic -> what is known; `claim` is told of a partition without commit.

    `verify` raises if the alias of a topic does not lead to our index, and has so many seconds to find out.
    `set_aside`: the aliases whose indices take nothing at present.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        member: Membership,
        lease: Lease,
        troubles: Troubles,
        fault: Fault,
        targets: Callable[[], Mapping[str, Target]],
        claim: Callable[[Part], None],
        verify: Callable[[str, float], None],
        set_aside: Callable[[], frozenset[str]],
    ) -> None:
        self._settings = settings
        self._group = settings.sink_group
        self._where = settings.kafka.bootstrap_servers
        self._lease = lease
        self._troubles = troubles
        self._fault = fault
        self._targets = targets
        self._claim = claim
        self._verify = verify
        self._set_aside = set_aside
        self.parts: dict[tuple[str, int], Part] = {}
        self._paused: set[Part] = set()
        self._topics: frozenset[str] = frozenset()
        self._asked: tuple[float, dict[Part, tuple[Mark, int]]] | None = None  # with where the next sink begins
        self._closing = False
        self._next_note = 0.0
        self._back = False
        self._consumer: Consumer = consumer(
            settings.kafka,
            self._group,
            group_id=self._group,
            **member.client,
            queued_max_messages_kbytes=16_384,
            topic_metadata_refresh_interval_ms=10_000,  # how soon a classic group sees partitions that were added
            fetch_queue_backoff_ms=10,  # how long a partition rests when so much is queued; a second by default
            on_commit=self._on_commit,
        )

    def subscribe(self, topics: Iterable[str]) -> None:
        """Follow these topics too."""
        wanted = self._topics | frozenset(topics)
        if wanted != self._topics:
            self._topics = wanted
            self._consumer.subscribe(
                sorted(wanted), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )

    def read(self, timeout_s: float) -> Iterator[tuple[Part, list[Message]]]:
        """What has come, by partition; waits for the first record only. Raises `OffsetsLostError` for lost offsets."""
        first = self._consumer.poll(timeout_s)
        if first is None:
            return
        runs: dict[tuple[str | None, int | None], list[Message]] = defaultdict(list)
        for message in (first, *self._consumer.consume(_MOST_AT_ONCE, 0)):
            if (error := message.error()) is not None:
                self._problem(error, message)
            else:
                runs[message.topic(), message.partition()].append(message)
        for (topic, number), messages in runs.items():
            part = self.parts.get((topic or "", number or 0))
            if part is not None:
                yield part, messages
        self._troubles.clear("kafka")

    def _problem(self, error: KafkaError, message: Message) -> None:
        place = f"{message.topic()}[{message.partition()}]"
        if error.code() in _NO_SUCH_OFFSET:
            raise OffsetsLostError(
                "the records at the committed offset are gone",
                where=place,
                hint=hints.rebuild(self._targets()[message.topic() or ""].table),
            )
        if error.fatal():
            raise UnsafeError(f"the Kafka client gave up: {error.str()}", where=self._where)
        translated = translate(error, self._where)
        if not translated.retryable:
            raise translated
        self._troubles.report("kafka", f"{error.name()} {place}")

    def pause(self, wanted: set[Part]) -> None:
        """Fetch nothing from these partitions, and from all others again."""
        now = {part for part in self.parts.values() if part in wanted}
        # A pause throws away what was fetched ahead, so nothing is paused twice.
        begin = [_place(part) for part in now - self._paused]
        end = [_place(part) for part in self._paused - now if part.owned]
        self._paused = now
        if begin:
            self._consumer.pause(begin)
        if end:
            self._consumer.resume(end)

    # --- the group's callbacks ---

    def _on_assign(self, _consumer: Consumer, places: list[TopicPartition]) -> None:
        try:
            self._assign(places)
        except KafkaException as error:
            # Out of a callback this would come as its bare `KafkaError`, which nobody catches.
            raise translate(error, self._where) from error

    def _assign(self, places: list[TopicPartition]) -> None:
        begun = [self._begin(place) for place in self._committed(places)]
        self._consumer.incremental_assign([_place(part, part.offsets.mark.offset) for part in begun])
        # A pause, and the position, may be left over from an earlier assignment.
        self._consumer.resume([_place(part) for part in begun])
        for part, place in zip(begun, self._positions(begun), strict=True):
            part.stale_position = place.offset
            self.parts[part.topic, part.number] = part
            if part.committed is None:
                part.wait = lambda part=part: part.committed is not None
                self._claim(part)
        _log.info("partitions assigned", action="assigned", partitions=[part.where for part in begun])

    def _committed(self, places: list[TopicPartition]) -> list[TopicPartition]:
        found = self._consumer.committed(places, timeout=_META_TIMEOUT_S) if places else []
        for place in found:
            if place.error is not None:
                raise translate(place.error, self._where)
        return found

    def _begin(self, place: TopicPartition) -> Part:
        target = self._targets()[place.topic]
        where = f"{place.topic}[{place.partition}]"
        if place.offset < 0:
            return self._part(target, place, Mark(self._low(place), 0), began_ms=int(time.time() * 1000))
        found = commit.decode(place.metadata, where)
        if found.topic_id != target.topic_id:
            raise OffsetsLostError(
                "the committed offset belongs to a topic of this name that was deleted",
                where=where,
                hint=hints.rebuild(target.table),
            )
        mark = Mark(place.offset, found.seq)
        # What lies between was written by a sink that ended before it saw again where the alias leads.
        start = found.sound or Sound(*mark, found.read_ms)
        begin = Mark(start.offset, start.seq)
        part = self._part(target, place, begin, began_ms=found.began_ms, read_ms=start.read_ms)
        part.committed = mark
        return part

    def _low(self, place: TopicPartition) -> int:
        """Where the log of a partition starts."""
        try:
            return int(self._consumer.get_watermark_offsets(place, timeout=_META_TIMEOUT_S)[0])
        except KafkaException as error:
            if error.args[0].code() != KafkaError._UNKNOWN_PARTITION:  # noqa: SLF001
                raise
        # Brokers that assign partitions themselves may give us one that was added before our client has heard of it.
        # Its `list_topics` within this callback would make confluent-kafka abort the process in the next callback.
        other = consumer(self._settings.kafka, self._group, group_id=self._group)
        try:
            return int(other.get_watermark_offsets(place, timeout=_META_TIMEOUT_S)[0])
        finally:
            other.close()

    def _part(self, target: Target, place: TopicPartition, start: Mark, *, began_ms: int, read_ms: int = 0) -> Part:
        return Part(
            topic=target.topic,
            number=place.partition,
            topic_id=target.topic_id,
            table=target.table,
            alias=target.alias,
            start=start,
            began_ms=began_ms,
            read_ms=read_ms,
            shape=target.shape,
        )

    def _on_revoke(self, _consumer: Consumer, places: list[TopicPartition]) -> None:
        parts = self._taken(places)
        if self._closing:
            return
        self._drain(parts)
        self._look(parts, _LOOK_S)
        crashpoint.reached("in_revoke")
        marks = {part: self._mark(part) for part in parts}
        changed = [
            _place(part, mark.offset, part.metadata(mark))
            for part, mark in marks.items()
            if part.committed is not None and not part.is_committed(mark)
        ]
        asked = time.monotonic()
        try:
            if changed:
                self._consumer.commit(offsets=changed, asynchronous=False)
                self._lease.renew(asked)
        except KafkaException as error:
            # Whoever gets the partition reads again what was not committed.
            _log.warning("not committed before the partitions left", action="revoke", reason=str(error))
        for part in parts:
            part.owned = False
        _log.info("partitions left", action="revoked", partitions=[part.where for part in parts])

    def _drain(self, parts: Iterable[Part]) -> None:
        """Wait for what is on its way, while it may be sent: nobody polls meanwhile, so the lease is not renewed.

        What is set aside is not on its way.
        """
        deadline = time.monotonic() + min(_DRAIN_S, self._lease.left_s)
        aside = self._set_aside()
        for part in parts:
            if part.alias not in aside:
                part.offsets.wait_open(len(part.held), max(0.0, deadline - time.monotonic()))

    def _on_lost(self, _consumer: Consumer, places: list[TopicPartition]) -> None:
        parts = self._taken(places)
        for part in parts:
            part.owned = False
        _log.warning("partitions lost to others", action="lost", partitions=[part.where for part in parts])

    def _taken(self, places: list[TopicPartition]) -> list[Part]:
        found = [self.parts.pop((place.topic, place.partition), None) for place in places]
        parts = [part for part in found if part is not None]
        if self._closing:
            for part in parts:
                part.owned = False
        if not self.parts:
            self._troubles.clear("commit")  # none will follow
        return parts

    # --- commits ---

    def advance(self) -> None:
        """Take over the consumer's positions; only when every record that it returned is open: they are past it."""
        parts = list(self.parts.values())
        for part, place in zip(parts, self._positions(parts), strict=True):
            if place.offset >= 0 and place.offset != part.stale_position:
                part.stale_position = -1
                part.offsets.reached(place.offset)
            part.freshness.settled(part.offsets.mark.offset)
            if not part.offsets.open and place.offset >= self._high(part) >= 0:
                part.freshness.caught_up(int(time.time() * 1000))

    def _positions(self, parts: list[Part]) -> list[TopicPartition]:
        return self._consumer.position([_place(part) for part in parts]) if parts else []

    @property
    def hurry(self) -> bool:
        """True if a commit is waited for: before anything of a new partition is sent, and by a lease run out."""
        parts = self.parts.values()
        return any(part.vacant and not part.committed for part in parts) or bool(parts and not self._lease.fresh)

    def commit(self) -> None:
        """Commit what has moved, now and then everything; the answer comes while polling.

        Something is always committed before the lease runs out: the answer renews it.
        """
        if self._asked is not None:
            return
        now = time.monotonic()
        every = now >= self._next_note
        known = {part: self._mark(part) for part in self.parts.values() if part.committed or part.vacant}
        marks = {part: mark for part, mark in known.items() if every or not part.is_committed(mark)}
        if not marks and self._lease.ageing:
            marks = dict(list(known.items())[:1])
        if not marks:
            return
        if every:
            self._next_note = now + _NOTE_S
        crashpoint.reached("before_commit")
        # Another thread sees meanwhile where aliases lead: what is noted here is never newer than what is committed.
        self._asked = (time.monotonic(), {part: (mark, part.begin(mark)) for part, mark in marks.items()})
        places = [_place(part, mark.offset, part.metadata(mark)) for part, mark in marks.items()]
        self._consumer.commit(offsets=places, asynchronous=True)

    def _mark(self, part: Part) -> Mark:
        return part.sound[1] if self._back else part.offsets.mark

    def settled(self, alias: str) -> Callable[[], None]:
        """What is settled now of an alias; to be called when it was seen after that to lead to our index."""
        mine = [part for part in list(self.parts.values()) if part.alias == alias]
        return _settled(mine)

    def _look(self, parts: Iterable[Part], timeout_s: float) -> None:
        """See where the aliases lead before the last commit; what was not seen is read again by the next sink."""
        if self._back:  # it may have been turned back meanwhile
            return
        deadline = time.monotonic() + timeout_s
        by_topic: dict[str, list[Part]] = defaultdict(list)
        for part in parts:
            if part.sound[1] != part.offsets.mark:
                by_topic[part.topic].append(part)
        try:
            for topic, mine in by_topic.items():
                is_sound = _settled(mine)
                if (left_s := deadline - time.monotonic()) <= 0:
                    return
                self._verify(topic, left_s)
                is_sound()
        except TidemarkError as error:
            _log.warning("where an alias leads was not seen at the end", action="look", reason=str(error))
            if not error.retryable:
                self._fault.set(error)
            if isinstance(error, ELSEWHERE):
                self.go_back([part for mine in by_topic.values() for part in mine])

    def go_back(self, parts: Iterable[Part] = ()) -> None:
        """An alias leads elsewhere: what was settled since it was last seen well may have gone there. Read it again.

        `parts`: what the group has taken away already.
        """
        self._back = True
        for part in (*self.parts.values(), *parts):
            part.freshness = Freshness(part.sound[0])

    def _on_commit(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        if self._asked is None:
            return
        (asked, marks), self._asked = self._asked, None
        failed = error or next((place.error for place in places if place.error is not None), None)
        if failed is not None:
            translated = translate(failed, self._where)
            if not translated.retryable:
                self._fault.set(translated)
            if any(part.owned for part in marks):  # the others commit what they have taken over
                self._troubles.report("commit", failed.name())
            return
        crashpoint.reached("after_commit")
        for part, committed in marks.items():
            part.committed, part.begins = committed
        self._lease.renew(asked)
        self._troubles.clear("commit")
        self._troubles.clear("kafka")

    def close(self, timeout_s: float) -> None:
        """Commit what is settled, as far as that works in time, and leave the group."""
        self._closing = True
        deadline = time.monotonic() + timeout_s
        try:
            self._look(self.parts.values(), timeout_s / 2)
            self._consumer.pause([_place(part) for part in self.parts.values()])
            self._settle_commits(deadline)
        except KafkaException as error:
            _log.warning("not committed at the end", action="close", reason=str(error))
        for part in self.parts.values():
            part.owned = False
        self._consumer.close()

    def _settle_commits(self, deadline: float) -> None:
        while self._asked is not None and time.monotonic() < deadline:
            self._consumer.poll(0.05)
        self.commit()
        while self._asked is not None and time.monotonic() < deadline:
            self._consumer.poll(0.05)

    def lag(self, part: Part) -> int:
        """Records of a partition not yet committed, as far as the last fetch told; markers count."""
        return max(0, self._high(part) - part.offsets.mark.offset)

    def _high(self, part: Part) -> int:
        """Where the partition ends, as the last fetch told; negative before the first."""
        return int(self._consumer.get_watermark_offsets(_place(part), cached=True)[1])


def _settled(parts: Iterable[Part]) -> Callable[[], None]:
    found = [(part, (part.freshness.read_ms, part.offsets.mark)) for part in parts]

    def is_sound() -> None:
        for part, sound in found:
            part.sound = sound

    return is_sound


def _place(part: Part, offset: int = -1001, metadata: str | None = None) -> TopicPartition:
    if metadata is None:
        return TopicPartition(part.topic, part.number, offset)
    return TopicPartition(part.topic, part.number, offset, metadata)
