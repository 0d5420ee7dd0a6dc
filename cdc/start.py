"""The first position of a source, and the epoch that its seq begins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from cdc.server import BinlogEnd, Connection, Server, binlog_end, binlog_files, purged, query_bytes
from schemas.errors import ConfigError, PreflightError, UsageError
from schemas.position import GtidSet, Position, first_seq

_FIRST_EVENT = 4  # after the file's magic number
_NEXT_GTID = re.compile(r"GTID_NEXT= '([^']+)'")
_PAGE = 5000
_START = re.compile(r"latest|earliest|gtid:.*|file:[^:]+:\d+")


def checked_start(text: str) -> str:
    """The text, if it names a place as `[cdc] start` does. Raises `UsageError`."""
    if not _START.fullmatch(text):
        raise UsageError(
            f"`{text}` is no position", hint="Write latest, earliest, gtid:<set> or file:<name>:<position>."
        )
    return text


def first_position(connection: Connection, server: Server, start: str, *, highest_seq: int) -> Position:
    """Where `[cdc] start` points to. Raises `ConfigError` for a place that the server does not have."""
    end = binlog_end(connection, server)
    if end is None:
        raise PreflightError("MySQL writes no binary log", hint="Start mysqld with --log-bin.")
    place = _place(connection, server, start, end)
    return Position(
        gtid_set=place.gtid_set,
        file=place.file,
        pos=place.pos,
        server_uuid=server.uuid,
        seq=first_seq(datetime.now(UTC), highest_seq),
    )


def _place(connection: Connection, server: Server, start: str, end: BinlogEnd) -> BinlogEnd:
    if start == "latest":
        return end
    if start == "earliest":
        gone = str(purged(connection)) if server.gtids else ""
        return BinlogEnd(file=binlog_files(connection)[0][0], pos=_FIRST_EVENT, gtid_set=gone)
    kind, _, rest = start.partition(":")
    if kind == "gtid":
        return _at_gtids(connection, server, rest, end)
    file, _, pos = rest.rpartition(":")
    return _at_file(connection, server, file, int(pos))


def _at_gtids(connection: Connection, server: Server, text: str, end: BinlogEnd) -> BinlogEnd:
    if not server.gtids:
        raise ConfigError("start = gtid:… needs gtid_mode = ON on the server", hint="Use start = file:<name>:<pos>.")
    wanted = GtidSet(text)
    if not GtidSet(end.gtid_set).covers(wanted):
        raise ConfigError(f"the server has not executed all of {wanted}", hint=f"It has executed {end.gtid_set}.")
    if not wanted.covers(purged(connection)):
        raise ConfigError(
            f"the server has purged transactions that are not in {wanted}", hint=f"Purged: {purged(connection)}."
        )
    return BinlogEnd(file=binlog_files(connection)[0][0], pos=_FIRST_EVENT, gtid_set=str(wanted))


def _at_file(connection: Connection, server: Server, file: str, pos: int) -> BinlogEnd:
    sizes: Mapping[str, int] = dict(binlog_files(connection))
    if pos < _FIRST_EVENT or sizes.get(file, 0) < pos:
        raise ConfigError(
            f"there is no position {pos} in binlog file {file}", hint=f"The server keeps: {', '.join(sizes)}."
        )
    gtids = _gtids_before(connection, file, pos) if server.gtids else ""
    return BinlogEnd(file=file, pos=pos, gtid_set=gtids)


def _gtids_before(connection: Connection, file: str, pos: int) -> str:
    """What had been executed at a place: the set at the file's head, and the transactions up to there."""
    executed, at = GtidSet(), _FIRST_EVENT
    while True:
        rows = query_bytes(connection, f"SHOW BINLOG EVENTS IN %s FROM {at} LIMIT {_PAGE}", (file,))
        for _, start, kind, _, at, info in rows:  # noqa: B007  the last end is where the next page begins
            if kind == b"Previous_gtids":
                executed = GtidSet(info.decode())
            elif start >= pos and kind != b"Format_desc":
                return str(executed)
            elif kind == b"Gtid" and (found := _NEXT_GTID.search(info.decode())):
                executed.add(found[1])
        if len(rows) < _PAGE:
            return str(executed)
