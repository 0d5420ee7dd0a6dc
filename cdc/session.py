"""One session: from taking the source over to the first error. What it knows comes from Kafka and MySQL, each time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from cdc.check_position import resumable
from cdc.checks import Inspected, inspect, server_id, wanted_tables
from cdc.ddl import DdlPolicy
from cdc.definition import Definition
from cdc.definitions import read_definitions, read_layouts
from cdc.inventory import definitions
from cdc.opened import Bounds
from cdc.own_topics import OwnTopics
from cdc.position_store import Instance, PositionStore, Stored
from cdc.protected_definition import declared_as
from cdc.protections import protections
from cdc.publisher import Publisher
from cdc.route import TableRouter
from cdc.server import Connection, asking
from cdc.source.engine import chosen, open_source
from cdc.source.options import Limits, SourceOptions
from cdc.source.seam import Batch, ChangeSource
from cdc.start import first_position
from cdc.takeover import Takeover
from cdc.topics import Topics
from ops.log import logger
from ops.mysql import connect, connect_args
from ops.settings import Settings
from ops.stop import Stop
from schemas.errors import FencedError, PositionLostError
from schemas.position import Position
from schemas.table import Table

_log = logger(__name__)


def silence_s(heartbeat_s: float) -> float:
    """How long a server may be silent: three heartbeats were missed then."""
    return 3 * heartbeat_s + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Everything that the core loop needs, plugged together."""

    source: ChangeSource
    publisher: Publisher
    router: TableRouter
    topics: Topics
    policy: DdlPolicy
    start: Position

    def begin(self) -> Position:
        """Commit where the session starts: the next one starts there too, whatever happens to the first batch."""
        return self.publish(Batch(records=(), position=self.start)) or self.start

    def batches(self) -> Iterator[Batch]:
        return self.source.batches(self.start)

    def publish(self, batch: Batch) -> Position | None:
        """Judge what the batch changes about its tables, then publish it. A batch that is judged unsafe is not.

        Gives the position, if it is committed; while more is at hand, the Kafka transaction stays open for it.
        """
        notes = self.policy.judge(batch)
        return self.publisher.publish(batch, router=self.router, topics=self.topics, known=self.start, notes=notes)

    def settle(self) -> Position | None:
        """Commit what is open; gives the position after it."""
        return self.publisher.settle()


class Opener:
    """Opens sessions for one process. `share`: how much of the configured batch a session may gather at once."""

    def __init__(self, settings: Settings, stop: Stop) -> None:
        self._settings = settings
        self._stop = stop
        self._protections = protections(settings)
        self._instance = Instance.of_this_process()
        self._store = PositionStore(settings, self._instance)
        self._topics = Topics(settings.kafka, settings.source.name)
        self._claimed = False
        self._fits = False  # the position, to the events in the topics: as long as nobody else wrote either
        self.share = 1.0

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Take the source over, in the order that leaves no gap for a second owner. Raises `TidemarkError`."""
        if self._claimed and (rival := self.rival()) is not None:
            raise rival  # before a new producer fences it
        self._topics.ensure_control()
        with ExitStack() as stack:
            publisher = stack.enter_context(
                Publisher(self._settings, self._store, self._instance, self._stop, share=self.share)
            )
            takeover = Takeover(
                settings=self._settings,
                publisher=publisher,
                store=self._store,
                topics=self._topics,
                wanted=self._wanted,
                claimed=self._claimed,
            )
            fits, self._fits = self._fits, False
            stored = takeover.run()
            self._claimed, self._fits = True, fits and not stored.unclean
            yield self._assemble(stack, publisher, stored)

    def _wanted(self) -> bool:
        return not self._stop.requested

    def _assemble(self, stack: ExitStack, publisher: Publisher, stored: Stored) -> Session:
        settings = self._settings
        own_id = server_id(settings, socket.gethostname())
        connection = connect(settings.source)
        stack.callback(connection.close)
        inspected = inspect(connection, settings, own_id=own_id)
        inspected.enforce()
        for doubt in inspected.doubts:
            _log.warning(doubt.what, action="protection", hint=doubt.remedy)
        known = read_layouts(settings)
        with asking(settings.source.where):
            start = self._position(connection, inspected, stored, known)
        router = self._router(inspected, known, start)
        start = self._with_topics(inspected, router, start)
        policy = DdlPolicy(settings, router, known=known, stored=read_definitions(settings), look=self._look)
        source = self._source(router, known, own_id)
        stack.enter_context(closed_when_asked(self._stop, source))
        return Session(
            source=source, publisher=publisher, router=router, topics=self._topics, policy=policy, start=start
        )

    def _position(
        self, connection: Connection, inspected: Inspected, stored: Stored, known: Mapping[str, Table]
    ) -> Position:
        settings = self._settings
        own = OwnTopics(settings, self._topics, found=inspected.tables, known=known, position=stored.position)
        if stored.position is not None:
            own.check_described()
            self._check_newest(own, stored.position)
            return resumable(
                connection,
                inspected.server,
                stored.position,
                where=settings.source.where,
                wanted=self._wanted,
            )
        if own.highest_seq():
            raise PositionLostError(
                f"no position of source {settings.source.name} is stored, though its topics hold events",
                where=f"topic {self._store.topic} on {settings.kafka.bootstrap_servers}",
                hint="Restore the topic from a backup; or say where to go on: `tidemark cdc position reset --to …`, "
                "and rewrite the rows that changed between the last event and there.",
            )
        position = first_position(connection, inspected.server, settings.cdc.start, highest_seq=0)
        _log.warning(
            "this source starts for the first time: rows that were there before are not captured until they change",
            action="first_start",
            start=settings.cdc.start,
            file=position.file,
            pos=position.pos,
            gtid_set=position.gtid_set,
        )
        return position

    def _check_newest(self, own: OwnTopics, position: Position) -> None:
        if self._fits:
            return
        try:
            own.check_newest(position)
        except PositionLostError as error:
            raise self.rival() or error from error  # an heir has gone on meanwhile
        self._fits = True

    def _look(self) -> tuple[Inspected, Mapping[str, Definition]]:
        """The tables as they are now, over a connection of its own: statements are rare."""
        connection = connect(self._settings.source)
        try:
            inspected = inspect(connection, self._settings)
            with asking(self._settings.source.where):
                found = definitions(connection, inspected.captured)
        finally:
            connection.close()
        return inspected, {name: declared_as(self._protections, name, declared) for name, declared in found.items()}

    def rival(self) -> FencedError | PositionLostError | None:
        """The error to end with if this process does not own the source any more."""
        stored = self._store.read(self._wanted)
        return None if self._store.is_ours(stored) else self._store.fenced(stored)

    def _with_topics(self, inspected: Inspected, router: TableRouter, start: Position) -> Position:
        """Create those of the tables that are there; the position pins their partitions from here on."""
        captured = [table for table in inspected.tables if router.captures(table.db, table.name)]
        topics = sorted({router.topic(table.db, table.name) for table in captured})
        counts = {name: router.partitions(name) for name in topics}
        self._topics.ensure(counts, pinned=start.partitions)
        return replace(start, partitions={**start.partitions, **counts})

    def _router(self, inspected: Inspected, known: dict[str, Table], start: Position) -> TableRouter:
        router = TableRouter(
            self._settings.source.name,
            wanted_tables(self._settings),
            topics={name: table.topic for name, table in known.items()},
            pinned=start.partitions,
            count=self._topics.count,
        )
        for name, (reason, remedy) in inspected.refused.items():
            _log.warning(f"table {name} is not captured: it {reason}", action="table_refused", table=name, hint=remedy)
        router.refuse(inspected.refused)
        return router

    def _source(self, router: TableRouter, known: dict[str, Table], own_id: int) -> ChangeSource:
        settings = self._settings
        engine = chosen(settings.cdc.engine)
        _log.info(f"the {engine.name} engine reads the binlog: {engine.why}", action="engine", engine=engine.name)
        portion = Bounds.of(settings.cdc, self.share).portion
        limits = Limits(
            batch_events=portion.rows,
            batch_bytes=portion.bytes,
            event_bytes=settings.kafka.max_event_bytes,
        )
        options = SourceOptions(
            connect=connect_args(settings.source),
            name=settings.source.name,
            router=router,
            known=known,
            server_id=own_id,
            heartbeat_s=settings.cdc.heartbeat_s,
            read_timeout_s=silence_s(settings.cdc.heartbeat_s),
            limits=limits,
            linger_s=settings.cdc.linger_s,
            ca_file=settings.source.ca_file,
            protections=self._protections,
        )
        return open_source(settings.cdc.engine, options)


@contextmanager
def closed_when_asked(stop: Stop, source: ChangeSource) -> Iterator[None]:
    """Close a source when the stop is requested, from a thread of its own: reading blocks."""
    over = threading.Event()

    def wait() -> None:
        while not over.is_set():
            if stop.wait(0.2):
                source.close()
                return

    thread = threading.Thread(target=wait, name="source-closer", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        source.close()
        thread.join(2)
