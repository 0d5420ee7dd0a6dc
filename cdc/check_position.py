"""Whether the server still has everything that comes after the stored position."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cdc.server import Connection, Server, binlog_end, binlog_files, purged, query
from cdc.source.transaction import is_behind
from schemas.errors import PositionLostError, PositionPurgedError, UnreachableError
from schemas.position import GtidSet, Position

_BEHIND_S = 30
_STEP_S = 1
_FIRST_EVENT = 4

_DECIDE = (
    "If those changes are gone for good, accept the gap with `tidemark cdc position reset --to latest` "
    "(or earliest), and rewrite the rows that changed in between."
)


def resumable(
    connection: Connection,
    server: Server,
    position: Position,
    *,
    where: str,
    wanted: Callable[[], bool] = lambda: True,
) -> Position:
    """The position as this server can be read from. Raises `PositionPurgedError`, `PositionLostError`.

    On another server only the GTIDs count: an open transaction is read again from its start.
    """
    if position.gtid_set:
        _check_purged(connection, server, position, where)
        if server.uuid == position.server_uuid:
            _check_end(connection, position, where)
        _check_covered(connection, server, position, where, wanted)
        if server.uuid != position.server_uuid:
            return replace(position, server_uuid=server.uuid, open=None, file="", pos=_FIRST_EVENT)
        return position
    if server.uuid != position.server_uuid:
        raise PositionLostError(
            f"this is another server than the one of the stored position {_place(position)}: it calls itself "
            f"{server.uuid}, that one was {position.server_uuid}",
            where=where,
            hint=f"A file and a position mean nothing on another server, only GTIDs do. {_DECIDE}",
        )
    _check_file(connection, position, where)
    return position


def _place(position: Position) -> str:
    return position.gtid_set or f"{position.file}:{position.pos}"


def _check_purged(connection: Connection, server: Server, position: Position, where: str) -> None:
    if not server.gtids:
        raise PositionLostError(
            f"the stored position is the GTID set {position.gtid_set}, and the server has gtid_mode off",
            where=where,
            hint="Switch gtid_mode on again.",
        )
    ours, gone = GtidSet(position.gtid_set), purged(connection)
    if not ours.covers(gone):
        oldest = binlog_files(connection)[0][0]
        raise PositionPurgedError(
            f"MySQL has purged transactions that come after the stored position: ours {ours}, purged {gone}, "
            f"oldest binlog kept {oldest}",
            where=where,
            hint=f"Keep binlogs longer (binlog_expire_logs_seconds). {_DECIDE}",
        )


def _check_covered(
    connection: Connection, server: Server, position: Position, where: str, wanted: Callable[[], bool]
) -> None:
    if not _covered(connection, position.gtid_set, wanted):
        ours, end = GtidSet(position.gtid_set), binlog_end(connection, server)
        raise PositionLostError(
            f"the server lacks transactions that have been published: ours {ours}, "
            f"executed there {end.gtid_set if end else ''}",
            where=where,
            hint="It is a replica that has fallen behind, or it was restored from an older backup, or its binlogs "
            f"were reset. Wait until it has caught up, or go back to the right server. {_DECIDE}",
        )


def _covered(connection: Connection, gtid_set: str, wanted: Callable[[], bool]) -> bool:
    # gtid_executed may lag behind what the dump thread sent already, so one look could be wrong.
    for _ in range(_BEHIND_S // _STEP_S):
        if query(connection, "SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)", (gtid_set, _STEP_S))[0][0] == 0:
            return True
        if not wanted():
            raise UnreachableError("stopped while waiting for the server to catch up with the stored position")
    return False


def _check_end(connection: Connection, position: Position, where: str) -> None:
    """A binlog that ends before the stored position lost its end or began anew, even where GTIDs have caught up.

    A number that was lost with the end is given to another transaction: the GTIDs alone would not tell.
    """
    files = binlog_files(connection)
    file, size = position.file, dict(files).get(position.file)
    behind = size is not None and position.pos > size
    if not behind and files and is_behind(files[-1], (position.file, position.pos)):
        behind, (file, size) = True, files[-1]
    if behind:
        raise PositionLostError(
            f"the stored position was at {position.file}:{position.pos}, and the binlog of the same server ends before "
            f"that, at {file}:{size}",
            where=where,
            hint="A crash took its end (sync_binlog is not 1), its binlogs were reset, or it was restored from an "
            "older backup: a GTID or a place may now stand for another transaction than the one that was published. "
            + _DECIDE,
        )


def _check_file(connection: Connection, position: Position, where: str) -> None:
    _check_end(connection, position, where)
    sizes = dict(binlog_files(connection))
    if position.file not in sizes:
        raise PositionPurgedError(
            f"MySQL has no binlog file {position.file} any more: the stored position is {_place(position)}, "
            f"the oldest file kept is {next(iter(sizes), 'none')}",
            where=where,
            hint=f"Keep binlogs longer (binlog_expire_logs_seconds). {_DECIDE}",
        )
