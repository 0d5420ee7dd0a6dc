"""What is plugged into what, and the loop that moves it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from confluent_kafka import KafkaException

from ops import metrics
from ops.elastic import client as elastic_client
from ops.elastic import raw
from ops.health import Health
from ops.kafka import translate
from ops.log import logger
from ops.settings import Settings
from ops.stop import Stop
from schemas.errors import OffsetsLostError, UnreachableError
from schemas.extension import reader
from sink import barrier, hints, sidings
from sink.admission import Admission
from sink.chores import Chores
from sink.consumer import ELSEWHERE, Group
from sink.deadletter import DeadLetters
from sink.index import Indices
from sink.lanes import Lanes
from sink.lease import Lease
from sink.membership import membership
from sink.part import Part
from sink.pressure import Pressure
from sink.settle import Tools
from sink.trouble import Fault, Troubles
from sink.vacancy import Vacancy
from sink.watch import Target, Watcher

_log = logger(__name__)

_POLL_S = 0.1
_COMMIT_EVERY_S = 1.0
_SWEEP_S = 2.0  # how long documents are deleted below a barrier, before others have their turn
_YOUNG_OBJECTS = 100_000  # containers that are new, before the garbage collector looks at them
_END_S = 4.0  # how long what is in flight may take at the end; the deadline of all is the service's
_COMMIT_END_S = 2.0


class Sink:
    """One run of the service, from nothing to the end. `only`: the one table to index; all if it is empty.

    One that indexes only one table builds an index that has not taken over yet: its dead letters are kept apart.
    """

    def __init__(self, settings: Settings, stop: Stop, health: Health, only: str = "") -> None:
        self._settings = settings
        self._stop = stop
        self._health = health
        self._where = ", ".join(settings.elasticsearch.urls)
        self._client = elastic_client(settings.elasticsearch, connections_per_node=3)
        self._troubles = Troubles()
        self._fault = Fault()
        name = settings.sink_group
        indices = Indices(self._client, settings.sink, settings.source.name, self._where)
        self._cluster = barrier.Cluster(client=self._client, where=self._where, verify=indices.verify)
        read_by = reader(foreign=settings.sink.format == "debezium")
        _log.info(str(read_by), action="records", reader=read_by.name)
        member = membership(settings)
        _log.info(
            f"group protocol {member.protocol}: {member.why}",
            action="membership", protocol=member.protocol, session_s=member.session_s,
        )  # fmt: skip
        lease = Lease(member.lease_s)
        self._letters = DeadLetters(settings, name, building=bool(only))
        self._watcher = Watcher(settings, indices, self._troubles, self._fault, name, only=only, settled=self._settled)
        self._chores = Chores(self._troubles, self._fault)
        self._bulk = raw(settings.elasticsearch, connections_per_node=settings.sink.lanes + sidings.MOST)
        self._lanes = Lanes(
            Tools(
                client=self._bulk,
                settings=settings.sink,
                lease=lease,
                troubles=self._troubles,
                fault=self._fault,
                letters=self._letters,
                verify=indices.verify,
            )
        )
        self._group = Group(
            settings,
            member=member,
            lease=lease,
            troubles=self._troubles,
            fault=self._fault,
            targets=lambda: self._watcher.targets,
            claim=self._claim,
            verify=self._watcher.verify,
            set_aside=lambda: self._lanes.set_aside,
        )
        self._admission = Admission(
            lanes=settings.sink.lanes,
            put=self._lanes.put,
            targets=lambda: self._watcher.targets,
            look=self._watcher.look,
            sweep=self._sweep,
            troubles=self._troubles,
        )
        self._pressure = Pressure(settings.sink.queue_bytes, lambda: self._lanes.lane_bytes)
        self._next_commit = 0.0

    def run(self) -> None:
        """Index until the stop is requested. Raises a `TidemarkError` if that cannot go on."""
        try:
            self._start()
            while not self._stop.requested:
                self._round()
        except ELSEWHERE:
            self._group.go_back()
            raise
        except KafkaException as error:
            raise translate(error, self._settings.kafka.bootstrap_servers) from error
        finally:
            self._end()

    @property
    def settled(self) -> dict[tuple[str, int], int]:
        """(topic, partition) -> offset below which every record is settled; for any thread."""
        parts = list(self._group.parts.items())
        return {place: part.offsets.mark.offset for place, part in parts if part.committed is not None}

    @property
    def targets(self) -> Mapping[str, Target]:
        """Topic -> what is known of it."""
        return self._watcher.targets

    @property
    def waits_for(self) -> str:
        """Why data does not move; empty if it does."""
        return self._troubles.reason

    def _start(self) -> None:
        # Events come and go by the ten thousand and make no cycles; looking for some took a third of our time.
        gc.freeze()
        gc.set_threshold(_YOUNG_OBJECTS, 20, 100)
        self._health.details = self._details
        self._lanes.start()
        self._chores.start()
        self._watcher.start()
        while not self._watcher.ready.is_set() and not self._stop.wait(_POLL_S / 2):
            self._fault.check()

    def _round(self) -> None:
        self._fault.check()
        self._check_topics()
        self._group.subscribe(self._watcher.targets)
        self._pressure.look()
        if self._pressure.high and not self._pressure.paused:
            self._lanes.wait_eased(_POLL_S)
        else:
            if self._lanes.set_aside:
                self._group.pause(self._resting())
            for part, messages in self._group.read(_POLL_S):
                self._admission.take(part, messages)
        for part in list(self._group.parts.values()):
            self._admission.release(part)
        self._admission.tell()
        self._group.pause(self._resting())
        self._commit()
        self._tell()

    def _check_topics(self) -> None:
        targets = self._watcher.targets
        for part in self._group.parts.values():
            if targets[part.topic].topic_id != part.topic_id:
                raise OffsetsLostError(
                    "the topic was deleted and made again while it was read",
                    where=part.where,
                    hint=hints.rebuild(part.table),
                )

    def _resting(self) -> set[Part]:
        """The partitions to pause: all while the lanes are full for long; else those that wait, or are set aside."""
        paused, aside = self._pressure.paused, self._lanes.set_aside
        return {part for part in self._group.parts.values() if paused or part.wait is not None or part.alias in aside}

    def _commit(self) -> None:
        now = time.monotonic()
        if now >= self._next_commit or self._group.hurry:
            self._next_commit = now + _COMMIT_EVERY_S
            self._group.advance()
            self._group.commit()
            self._measure()

    def _settled(self, alias: str) -> Callable[[], None]:
        return self._group.settled(alias)

    def _claim(self, part: Part) -> None:
        """A partition without a commit may begin at its start only if nothing of it was indexed before."""
        look = Vacancy(settings=self._settings, cluster=self._cluster).look
        self._chores.submit(part.where, f"first look at {part.alias} for {part.where}", lambda: look(part))

    def _sweep(self, part: Part, below: int, done: Callable[[], None]) -> None:
        def wanted() -> bool:
            return part.owned and not self._chores.closing

        def sweep() -> bool:
            if not part.owned:
                return True
            try:
                if not barrier.apply(self._cluster, part, below, wanted, most_s=_SWEEP_S):
                    return False
            except UnreachableError:
                if part.owned:
                    raise
            else:
                _log.info("a barrier was applied", action="barrier", partition=part.where, below=str(below))
                done()
            return True

        self._chores.submit(part.where, f"barrier in {part.where}", sweep)

    def _tell(self) -> None:
        reason = self._troubles.reason
        if reason:
            self._health.down(reason)
        else:
            self._health.up()

    def _measure(self) -> None:
        metrics.SINK_PAUSED.set(len(self._resting()))
        for part in self._group.parts.values():
            metrics.SINK_LAG.labels(part.topic, part.number).set(self._group.lag(part))

    def _details(self) -> dict[str, object]:
        parts = list(self._group.parts.values())
        return {
            "tables": len(self._watcher.targets),
            "partitions": len(parts),
            "open": sum(part.offsets.open for part in parts),
            "queued_bytes": self._lanes.queued_bytes,
            "full": self._pressure.high,
            "set_aside": sorted(self._lanes.set_aside),
            "outdated": sorted(self._watcher.outdated),
            "sweeping": self._chores.begun,
            "not_captured": sorted(self._watcher.strangers),
        }

    def _end(self) -> None:
        """Let go in order: finish what is in flight, commit, leave. What was queued is read again next time."""
        if self._stop.requested:
            self._health.down("stopping", "stopping")
        with ExitStack() as last_first:
            last_first.callback(self._client.close)
            last_first.callback(self._bulk.close)
            last_first.callback(self._letters.close)
            last_first.callback(self._watcher.close, 0.5)
            last_first.callback(self._chores.close, 0.5)
            last_first.callback(lambda: self._group.close(min(_COMMIT_END_S, self._stop.remaining_s / 2)))
            last_first.callback(lambda: self._lanes.close(min(_END_S, self._stop.remaining_s / 2)))


def body(settings: Settings) -> Callable[[Stop, Health], None]:
    """What `ops.service.run` runs."""
    return lambda stop, health: Sink(settings, stop, health).run()
