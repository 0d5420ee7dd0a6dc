"""Reads what a test did to MySQL through either engine, in bounded time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from cdc.source.engine import open_source
from cdc.source.options import Limits, SourceOptions
from cdc.source.seam import Batch, ChangeSource, Record
from schemas.event import SEQ_HEADER
from schemas.key import BARRIER_KEY
from schemas.position import GtidSet, Position
from schemas.table import Table

TIMEOUT_S = 120
FIRST_SEQ = 1024


@dataclass(kw_only=True)
class TestRouter:
    """Captures the tables of one database, all or some."""

    __test__ = False

    db: str
    only: frozenset[str] = frozenset()
    count: int = 3

    def wants(self, db: str, table: str) -> bool:
        return self.captures(db, table)

    def captures(self, db: str, table: str) -> bool:
        return db == self.db and (not self.only or table in self.only)

    def topic(self, db: str, table: str) -> str:
        return f"src.{db}.{table}"

    def partitions(self, topic: str) -> int:
        return self.count


@dataclass(kw_only=True)
class Seen:
    """Batches, and what is in them."""

    batches: list[Batch] = field(default_factory=list)

    @property
    def records(self) -> list[Record]:
        return [record for batch in self.batches for record in batch.records]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(record.value) for record in self.records if record.value and record.key != BARRIER_KEY]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [event["after"] for event in self.events if event["after"] is not None]

    @property
    def tables(self) -> list[Table]:
        return [table for batch in self.batches for table in batch.tables]

    @property
    def barriers(self) -> list[Record]:
        return [record for record in self.records if record.key == BARRIER_KEY]

    @property
    def position(self) -> Position:
        return self.batches[-1].position


class SourceReader:
    """One database's changes since `mark`."""

    def __init__(self, mysql: Any, db: str, server_id: int, engine: str = "portable") -> None:
        self.mysql = mysql
        self.engine = engine
        self.db = db
        self.server_id = server_id
        self.router = TestRouter(db=db)
        self.known: dict[str, Table] = {}
        self.connection = mysql.connect(database=db)
        self.start = self.here()

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements; the rows of the last one."""
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def here(self) -> Position:
        """Where the server is now."""
        ((file, pos, *_),) = self.sql("SHOW BINARY LOG STATUS")
        ((gtids, uuid),) = self.sql("SELECT @@gtid_executed, @@server_uuid")
        return Position(gtid_set=gtids.replace("\n", ""), file=file, pos=pos, server_uuid=uuid, seq=FIRST_SEQ)

    def source(
        self,
        *,
        max_batch_events: int = 5000,
        max_batch_bytes: int = 8 << 20,
        max_event_bytes: int = 8 << 20,
        engine: str = "",
        **overrides: Any,
    ) -> ChangeSource:
        limits = Limits(batch_events=max_batch_events, batch_bytes=max_batch_bytes, event_bytes=max_event_bytes)
        settings: dict[str, Any] = {
            "connect": {
                "host": self.mysql.host,
                "port": self.mysql.port,
                "user": self.mysql.user,
                "password": self.mysql.password,
            },
            "name": "src",
            "router": self.router,
            "known": self.known,
            "server_id": self.server_id,
            "heartbeat_s": 0.1,
            "read_timeout_s": 60.0,
            "limits": limits,
        }
        return open_source(engine or self.engine, SourceOptions(**{**settings, **overrides}))

    def read(self, since: Position | None = None, *, by_file: bool = False, **overrides: Any) -> Seen:
        """Everything up to where the server is now."""
        position = since or self.start
        if by_file:
            position = replace(position, gtid_set="")
        source = self.source(**overrides)
        seen = Seen()
        with closing_in_time(source):
            for batch in source.batches(position):
                seen.batches.append(batch)
                if reached(batch.position, self.here(), by_file=by_file):
                    break
            else:
                raise TimeoutError("the source did not get to the end of the binlog in time")
        return seen


def reached(position: Position, end: Position, *, by_file: bool) -> bool:
    if by_file:
        return (position.file, position.pos) >= (end.file, end.pos)
    return GtidSet(position.gtid_set).covers(GtidSet(end.gtid_set))


class closing_in_time:  # noqa: N801 - reads as a statement
    """Closes a source when the block ends, or after the time limit, so that no test waits for ever."""

    def __init__(self, source: ChangeSource, timeout_s: float = TIMEOUT_S) -> None:
        self._source = source
        self._timer = threading.Timer(timeout_s, source.close)

    def __enter__(self) -> ChangeSource:
        self._timer.start()
        return self._source

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._source.close()


def take(batches: Iterable[Batch], enough: Callable[[Seen], bool]) -> Seen:
    """Batches until there is enough."""
    seen = Seen()
    for batch in batches:
        seen.batches.append(batch)
        if enough(seen):
            break
    return seen


def seqs(records: Iterable[Record]) -> Iterator[int]:
    """The seq of each record that is no tombstone."""
    for record in records:
        if record.value is not None:
            yield orjson.loads(record.value)["source"]["seq"]


def tombstone_seq(record: Record) -> int:
    return int(dict(record.headers)[SEQ_HEADER])
