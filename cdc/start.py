"""The first position of a source, and the epoch that its seq begins."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from cdc.server import BinlogEnd, Connection, Server, binlog_end, binlog_files, purged, query_bytes
from schemas.errors import ConfigError, PreflightError, UsageError
from schemas.position import GtidSet, Position, first_seq, named_gtids

_FIRST_EVENT = 4  # after the file's magic number
_NEXT_GTID = re.compile(r"GTID_NEXT= '([^']+)'")
_PAGE = 5000
_WRAP = 1 << 32
#: Events between two transactions: at a file's head, and what begins a transaction or ends the file ("" is its end).
_HEAD = {b"Format_desc", b"Previous_gtids", b"Gtid_list", b"Binlog_checkpoint"}
_BOUNDARIES = {b"Gtid", b"Gtid_tagged_log_event", b"Anonymous_Gtid", b"Rotate", b"Stop", b""}
_START = re.compile(r"latest|earliest|gtid:.*|file:[^:]+:\d+", re.DOTALL)  # a set may be pasted with its line ends


def checked_start(text: str) -> str:
    """The text, if it names a place as `[cdc] start` does. Raises `UsageError`."""
    if not _START.fullmatch(text):
        raise UsageError(
            f"`{text}` is no position", hint="Write latest, earliest, gtid:<set> or file:<name>:<position>."
        )
    if text.startswith("gtid:"):
        try:
            named_gtids(text.removeprefix("gtid:"))
        except ValueError as error:
            raise UsageError(str(error), hint="All that the server keeps is `earliest`.") from None
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
    wanted = named_gtids(text)
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
    gtids = _gtids_before(connection, file, pos)
    return BinlogEnd(file=file, pos=pos, gtid_set=gtids if server.gtids else "")


def _gtids_before(connection: Connection, file: str, pos: int) -> str:
    """What had been executed at a place: the set at the file's head, and the transactions that end up to there.

    Raises `ConfigError` if no transaction ends there, and none begins.
    """
    executed, open_gtid, between = GtidSet(), "", False
    for start, kind, info in _binlog_events(connection, file):
        between = between or (start == pos and kind in _HEAD | _BOUNDARIES)
        if kind == b"Previous_gtids":
            executed = GtidSet(info.decode())
        elif start >= pos and kind not in _HEAD:
            break
        elif kind in _BOUNDARIES:
            if open_gtid:
                executed.add(open_gtid)
            found = _NEXT_GTID.search(info.decode(errors="replace"))
            open_gtid = found[1] if found else ""
    if not between:
        raise ConfigError(
            f"position {pos} of binlog file {file} is inside of a transaction: the rest of it would be lost",
            hint=f"SHOW BINLOG EVENTS IN '{file}'; and take the Pos of an event of type Gtid or Anonymous_Gtid.",
        )
    if open_gtid:
        executed.add(open_gtid)
    return str(executed)


def _binlog_events(connection: Connection, file: str) -> Iterator[tuple[int, bytes, bytes]]:
    """Start, type and description of every event of a file, and of its end as an event without a description."""
    at = _FIRST_EVENT
    while True:
        rows = query_bytes(connection, f"SHOW BINLOG EVENTS IN %s FROM {at} LIMIT {_PAGE}", (file,))
        for _, start, kind, _, end, info in rows:
            yield start, kind, info
            # the end is as it stands in the event, modulo 2^32
            at = start + (end - start) % _WRAP
        if len(rows) < _PAGE:
            yield at, b"", b""
            return
