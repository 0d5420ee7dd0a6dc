"""From Kafka to the lanes: what may go on, what has to wait, what must not be there at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import Message

from ops.log import logger
from schemas.errors import OffsetsLostError, UnsafeError
from schemas.record import Kind
from sink import hints
from sink.freshness import unread_since_ms
from sink.part import Item, Part, item_in
from sink.retention import too_old
from sink.share import Share, intake, lane_of, share_of
from sink.trouble import Troubles
from sink.watch import Target

_log = logger(__name__)

_AGE_CHECK_EVERY_S = 60.0


class Admission:
    """Passes items on in order; a partition whose next item has to wait holds it and all that follow."""

    def __init__(
        self,
        *,
        lanes: int,
        put: Callable[[int, Share], None],
        targets: Callable[[], Mapping[str, Target]],
        look: Callable[[], None],
        sweep: Callable[[Part, int, Callable[[], None]], None],
        troubles: Troubles,
    ) -> None:
        self._lanes = lanes
        self._put = put
        self._targets = targets
        self._look = look
        self._sweep = sweep
        self._troubles = troubles
        self._waiting: dict[Callable[[], bool], tuple[Part, str]] = {}  # gates of versions, and what is said of them

    def take(self, part: Part, messages: Sequence[Message]) -> None:
        """Open records of ours, in order. Raises `FormatError`, `OffsetsLostError`."""
        self._check_age(part, messages[0])
        part.stale_position = -1
        part.freshness.read((messages[-1].offset() or 0) + 1, messages[-1].timestamp()[1])
        if part.held or part.wait is not None or not self._pass(part, messages):
            for message in messages:
                self._hold(part, item_in(part, message))
            self.release(part)

    def _pass(self, part: Part, messages: Sequence[Message]) -> bool:
        """Put them into the lanes if none of them has to wait, which is the rule."""
        target = self._targets()[part.topic]
        part.shape, version = target.shape, target.version
        read = intake(part, messages, version=version, lanes=self._lanes) if version > 0 else None
        if read is None:
            return False
        part.offsets.opened(read.opened)
        for number, share in enumerate(read.shares):
            if share.offsets:
                self._put(number, share)
        return True

    def _hold(self, part: Part, item: Item) -> None:
        self._check_seq(part, item)
        part.offsets.opened([(item.offset, item.seq)])
        part.held.append(item)

    def release(self, part: Part) -> None:
        """Pass on what does not have to wait any longer."""
        if part.wait is not None and not part.wait():
            return
        part.wait = None
        while part.held:
            part.wait = self._gate(part, part.held[0])
            if part.wait is not None:
                return
            item = part.held.popleft()
            part.shape = self._targets()[part.topic].shape  # another primary key, other routings
            if item.kind is not Kind.BARRIER:
                self._put(lane_of(item.kafka_key, self._lanes), share_of([item]))

    def tell(self) -> None:
        """A version that nobody waits for any more is no trouble, also where its partitions have left."""
        over = [gate for gate, (part, _) in self._waiting.items() if not part.owned or part.wait is not gate]
        names = {self._waiting.pop(gate)[1] for gate in over}
        for name in names - {name for _, name in self._waiting.values()}:
            self._troubles.clear(name)

    def _check_seq(self, part: Part, item: Item) -> None:
        # The tombstone of a delete has the delete's seq.
        if item.seq > part.floor or (item.value is None and item.seq == part.floor):
            return
        raise OffsetsLostError(
            f"a record at or past the committed offset is older (seq {item.seq}) than the one below it ({part.floor})",
            where=f"{part.where} at offset {item.offset}",
            hint=hints.rebuild(part.table),
        )

    def _check_age(self, part: Part, message: Message) -> None:
        """Past `delete.retention.ms` compaction may have removed deletes of keys that were indexed before."""
        now = time.monotonic()
        if now < part.next_age_check:
            return
        part.next_age_check = now + _AGE_CHECK_EVERY_S
        since_ms = unread_since_ms(
            end=part.offsets.end,
            offset=message.offset() or 0,
            published_ms=message.timestamp()[1],
            read_ms=part.freshness.read_ms,
            began_ms=part.began_ms,
        )
        behind_s, limit_s = time.time() - since_ms / 1000, self._targets()[part.topic].retention_s
        if behind_s > limit_s:
            where = f"{part.where} at offset {message.offset()}"
            hint = hints.rebuild(part.table)
            raise too_old(where, behind_s=behind_s, limit_s=limit_s, hint=hint)

    def _gate(self, part: Part, item: Item) -> Callable[[], bool] | None:
        if item.kind is Kind.BARRIER and part.passed != item.offset:
            self._check_place(part, item)
            return _BarrierGate(part, item, self._sweep)
        if item.version > self._targets()[part.topic].version:
            self._look()
            name = f"version {item.version} of {part.table}"
            self._troubles.report(name, "not known, or the index cannot follow; its changes wait")

            def known() -> bool:
                return self._targets()[part.topic].version >= item.version

            self._waiting[known] = part, name
            return known
        return None

    def _check_place(self, part: Part, item: Item) -> None:
        """Tidemark writes a barrier into every partition; Debezium tells of a TRUNCATE in one of them."""
        partitions = self._targets()[part.topic].partitions
        if partitions > 1:
            raise UnsafeError(
                f"a TRUNCATE in a topic of {partitions} partitions: which rows came before it cannot be told",
                where=f"{part.where} at offset {item.offset}",
                hint="Let Debezium take a new snapshot into a new topic; one partition keeps TRUNCATE in order.",
            )


class _BarrierGate:
    """Opens when all before the barrier is settled, and the documents below it are deleted."""

    def __init__(self, part: Part, item: Item, sweep: Callable[[Part, int, Callable[[], None]], None]) -> None:
        self._part = part
        self._item = item
        self._sweep = sweep
        self._begun = False

    def __call__(self) -> bool:
        if not self._begun and self._part.in_lanes == 0:
            self._begun = True
            self._sweep(self._part, self._item.below, self._done)
        return self._part.passed == self._item.offset

    def _done(self) -> None:
        self._part.offsets.settled([self._item.offset])
        self._part.passed = self._item.offset
