"""Decoding alone: batches as the native engine makes them, with nobody who publishes them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import count

from bench.capture.backlog import Backlog
from bench.capture.topics import PARTITIONS
from bench.servers import Mysql
from cdc.opened import Bounds
from cdc.source.native import NativeSource
from cdc.source.options import Limits, SourceOptions
from cdc.source.seam import Batch
from ops.settings import CdcSettings, KafkaSettings
from schemas.position import Position

_SERVER_IDS = count(77_000_000 + os.getpid() % 1_000_000)


class _Router:
    """Captures one table."""

    def __init__(self, db: str) -> None:
        self._db = db

    def wants(self, db: str, table: str) -> bool:
        return self.captures(db, table)

    def captures(self, db: str, table: str) -> bool:
        return (db, table) == (self._db, "events")

    def topic(self, db: str, table: str) -> str:
        return f"limits_{self._db}.{db}.{table}"

    def partitions(self, _topic: str) -> int:
        return PARTITIONS


def batches(mysql: Mysql, backlog: Backlog, cdc: CdcSettings) -> Iterator[Batch]:
    """All batches of the backlog, as large as cdc has them."""
    portion = Bounds.of(cdc, 1).portion
    options = SourceOptions(
        connect={"host": mysql.host, "port": mysql.port, "user": mysql.user, "password": mysql.password},
        name=f"limits_{backlog.db}",
        router=_Router(backlog.db),
        known={},
        server_id=next(_SERVER_IDS),
        heartbeat_s=cdc.heartbeat_s,
        read_timeout_s=10,
        limits=Limits(
            batch_events=portion.rows,
            batch_bytes=portion.bytes,
            event_bytes=KafkaSettings().max_event_bytes,
        ),
        linger_s=cdc.linger_s,
    )
    source = NativeSource(options)
    place = backlog.start
    start = Position(gtid_set=place.gtid_set, file=place.file, pos=place.pos, server_uuid=place.server_uuid, seq=1024)
    rows = 0
    try:
        for batch in source.batches(start):
            yield batch
            rows += batch.rows
            if rows >= backlog.rows:
                return
    finally:
        source.close()


def decode(mysql: Mysql, backlog: Backlog, cdc: CdcSettings) -> tuple[float, float]:
    """Seconds, and seconds of CPU, for the whole backlog."""
    began, cpu = time.perf_counter(), time.process_time()
    for _ in batches(mysql, backlog, cdc):
        pass
    return time.perf_counter() - began, time.process_time() - cpu
