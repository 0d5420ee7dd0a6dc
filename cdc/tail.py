"""Row changes straight from MySQL, without Kafka: nothing is stored, nothing is claimed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence

from cdc.checks import inspect, server_id
from cdc.protections import protections
from cdc.route import TableFilter, TableRouter
from cdc.server import asking
from cdc.source.engine import open_source
from cdc.source.options import Limits, SourceOptions
from cdc.source.seam import Record
from cdc.start import checked_start, first_position
from ops.log import logger
from ops.mysql import connect, connect_args
from ops.settings import Settings
from schemas.errors import UsageError
from schemas.position import Position

_log = logger(__name__)

_LINGER_S = 0.02


class Tail:
    """Reads beside a running cdc: it registers with a server id of its own."""

    def __init__(self, settings: Settings, patterns: Sequence[str], start: str) -> None:
        if not patterns or any("." not in pattern for pattern in patterns):
            raise UsageError("name the tables to show", hint="Patterns are `database.table`, for instance 'shop.*'.")
        chosen = settings.cdc.model_copy(update={"tables": list(patterns), "allow_empty": True})
        self._settings = settings.model_copy(update={"cdc": chosen})
        self._start = checked_start(start)
        self._protections = protections(settings)

    def events(self, limit: int | None) -> Iterator[Record]:
        """Change events and barriers, without tombstones, at most `limit`. Raises `TidemarkError`."""
        position, router = self._prepare()
        source = open_source(self._settings.cdc.engine, self._options(router))
        try:
            records = (record for batch in source.batches(position) for record in batch.records)
            for number, record in enumerate((record for record in records if record.value is not None), 1):
                yield record
                if number == limit:
                    return
        finally:
            source.close()

    def _options(self, router: TableRouter) -> SourceOptions:
        settings = self._settings
        return SourceOptions(
            connect=connect_args(settings.source),
            name=settings.source.name,
            router=router,
            known={},
            server_id=server_id(settings, f"{socket.gethostname()} tail {os.getpid()}", own=False),
            heartbeat_s=settings.cdc.heartbeat_s,
            read_timeout_s=3 * settings.cdc.heartbeat_s + 1,
            limits=Limits(event_bytes=settings.kafka.max_event_bytes),
            linger_s=_LINGER_S,
            ca_file=settings.source.ca_file,
            protections=self._protections,
        )

    def _prepare(self) -> tuple[Position, TableRouter]:
        settings = self._settings
        connection = connect(settings.source)
        try:
            inspected = inspect(connection, settings)
            inspected.enforce()
            for doubt in inspected.doubts:
                _log.warning(doubt.what, action="protection", hint=doubt.remedy)
            with asking(settings.source.where):
                position = first_position(connection, inspected.server, self._start, highest_seq=0)
        finally:
            connection.close()
        wanted = TableFilter(settings.cdc.tables, settings.cdc.exclude)
        router = TableRouter(settings.source.name, wanted, topics={}, pinned={}, count=lambda _topic: 1)
        router.refuse(inspected.refused)
        return position, router
