"""The row changes that the binlog holds, as mysql-replication decodes them: none of cdc's decoders is used."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pymysql
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.constants.BINLOG import ANONYMOUS_GTID_LOG_EVENT
from pymysqlreplication.event import GtidEvent, NotImplementedEvent, QueryEvent, RotateEvent, XidEvent
from pymysqlreplication.row_event import DeleteRowsEvent, PartialUpdateRowsEvent, UpdateRowsEvent, WriteRowsEvent

from auditor.mysql_server import Mark
from auditor.run_context import Context
from ops import mysql
from schemas.errors import InconclusiveError

_EVENTS: list[type] = [
    GtidEvent, QueryEvent, XidEvent, RotateEvent, WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent,
    PartialUpdateRowsEvent, NotImplementedEvent,
]  # fmt: skip
_ROWS: dict[type, tuple[str, str]] = {
    WriteRowsEvent: ("c", "values"), DeleteRowsEvent: ("d", "values"), UpdateRowsEvent: ("u", "before_values")
}  # fmt: skip
#: Event types that hold rows or name transactions, and that the library passes over.
_PARTIAL = 39
_UNREADABLE = {_PARTIAL: "a partial JSON update", 40: "a compressed transaction", 42: "a tagged GTID"}
READ_TIMEOUT_S = 45


class Place(NamedTuple):
    """An offset in a binlog file."""

    file: str
    pos: int


class Logged(NamedTuple):
    """One committed row change, of a statement at `ts_ms`. `transaction`: its GTID, or where its rows event stands.

    `op`: c, u or d; `key`: values of the key, of an update those of the row as it was.
    """

    transaction: str
    table: str
    op: str
    key: list[Any]
    place: Place
    row: int
    ts_ms: int


class BinlogRows:
    """Reads from the beginning of a file to a mark. `tables`: `database.table` -> its primary key columns."""

    def __init__(self, context: Context, tables: Mapping[str, Sequence[str]]) -> None:
        self._context = context
        self._tables = tables
        self._where = context.settings.source.where
        self._gtid = ""
        self._rows_open = False

    def read(self, file: str, end: Mark) -> Iterator[list[Logged]]:
        """The row changes that were committed before `end`, one rows event at a time.

        Raises `InconclusiveError` for what the library cannot read.
        """
        reader = self._reader(file)
        try:
            while True:
                self._context.pulse()
                event = reader.fetchone()
                if event is None:
                    return
                yield from self._event(event, reader.log_file)
                if end.reached(reader.log_file, reader.log_pos):
                    return
        except (pymysql.Error, OSError) as error:
            raise mysql.translate(error, self._where) from error
        finally:
            reader.close()

    def _reader(self, file: str) -> Any:
        settings = self._context.settings.source
        names = [name.split(".", 1) for name in self._tables]
        return BinLogStreamReader(
            connection_settings={**mysql.connect_args(settings), "read_timeout": READ_TIMEOUT_S},
            server_id=server_id(settings.name),
            log_file=file,
            log_pos=4,
            resume_stream=True,
            blocking=False,
            only_events=_EVENTS,
            filter_non_implemented_events=False,
            only_schemas=[db for db, _ in names],
            only_tables=[table for _, table in names],
            verify_checksum=True,
            enable_logging=False,
            pymysql_wrapper=connected,
        )

    def _event(self, event: Any, file: str) -> Iterator[list[Logged]]:
        if isinstance(event, NotImplementedEvent):
            self._check(event.event_type, file)
            if event.event_type == ANONYMOUS_GTID_LOG_EVENT:
                self._gtid = ""  # as cdc has it: the transaction has none
        elif isinstance(event, GtidEvent):
            self._gtid = event.gtid
        elif isinstance(event, QueryEvent):
            if self._rows_open and event.query.upper() == "ROLLBACK":
                raise InconclusiveError("the binlog holds a ROLLBACK after rows", where=file)
            self._rows_open = False
        elif isinstance(event, XidEvent):
            self._rows_open = False
        elif type(event) is PartialUpdateRowsEvent:
            self._check(_PARTIAL, file)
        elif type(event) in _ROWS and f"{event.schema}.{event.table}" in self._tables:
            self._rows_open = True
            yield list(self._rows(event, file))

    def _check(self, kind: int, file: str) -> None:
        if kind in _UNREADABLE:
            raise InconclusiveError(
                f"the binlog holds {_UNREADABLE[kind]}, which this comparison cannot read",
                where=file,
                hint="Compare with `--against mysql`.",
            )

    def _rows(self, event: Any, file: str) -> Iterator[Logged]:
        op, image = _ROWS[type(event)]
        table = f"{event.schema}.{event.table}"
        place = Place(file, event.packet.log_pos - event.packet.event_size)
        transaction = self._gtid or f"{place.file}:{place.pos}"
        try:
            rows = event.rows
        except Exception as error:  # the library raises whatever comes
            raise InconclusiveError(
                f"a row of {table} cannot be decoded by mysql-replication: {type(error).__name__}: {error}",
                where=f"{place.file}:{place.pos}",
                hint="Compare with `--against mysql`.",
            ) from error
        for number, row in enumerate(rows):
            key = [row[image].get(column) for column in self._tables[table]]
            yield Logged(transaction, table, op, key, place, number, event.timestamp * 1000)


def connected(*, db: str | None = None, **arguments: Any) -> pymysql.connections.Connection[Any]:
    """For the library, which names an argument as pymysql no longer does."""
    return pymysql.connect(**arguments, database=db)


def server_id(name: str) -> int:
    """Another one than cdc's: two readers of one server id throw each other out."""
    return 1 << 30 | zlib.crc32(f"{name} binlog audit".encode()) >> 2
