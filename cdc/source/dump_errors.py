"""What the server's refusals mean. The only place where their text is read, since the number is 1236 for nearly all."""

from __future__ import annotations

import ssl

import pymysql

from ops import mysql_tls
from schemas.errors import (
    DuplicateReaderError,
    PositionLostError,
    PositionPurgedError,
    PreflightError,
    RefusedError,
    TidemarkError,
    UnreachableError,
)
from schemas.position import Position

_DUMP_REFUSED = 1236
_MISSING_GRANT = 1227
# access denied (to the server, to a database), no such host in the grants, blocked host, expired, locked, TLS only
_REFUSED = frozenset((1044, 1045, 1129, 1130, 1251, 1698, 1820, 1862, 2061, 3118, 3159))
_PURGED = (
    "purged required binary logs",
    "could not find first log",
    "could not find next log",
)
_SAME_ID = "same server_uuid/server_id"
#: What MySQL reads as an event's length where none begins is nearly always too large. It sends whole events of up to
#: 1 GiB whatever its max_allowed_packet is; MariaDB, and servers of long ago, really mean the setting.
_TOO_LONG = "exceeded max_allowed_packet"
_NO_BOUNDARY = (
    "Most likely no event begins at the position, or the file is damaged there: compare SHOW BINLOG EVENTS, "
    "and run mysqlbinlog --verify-binlog-checksum over it. On MariaDB raise max_allowed_packet first."
)
_OTHER_BINLOG = (
    "The server is another one, was restored or reset, or the position is no event boundary. "
    "Compare @@gtid_executed with it. After `tidemark cdc position reset --to …` rewrite the rows that `tidemark audit "
    "run --against mysql` names."
)
_GRANT = "GRANT REPLICATION SLAVE ON *.* TO the source's user; then connect again."


def translate(error: pymysql.Error, position: Position) -> TidemarkError:
    """The named error for what pymysql raised while connecting or dumping."""
    number, text = _parts(error)
    where = f"position {position.gtid_set or f'{position.file}:{position.pos}'}"
    cause: object = getattr(error, "original_exception", None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return RefusedError(f"TLS with MySQL fails: {mysql_tls.why(cause)}", hint=mysql_tls.HINT)
    if number == _DUMP_REFUSED:
        return _dump_refused(text, where)
    if number in _REFUSED:
        return RefusedError(f"MySQL refused the connection: {text}", hint="Check user, password, host and TLS.")
    if number == _MISSING_GRANT:
        return PreflightError(f"MySQL refused the binlog dump: {text}", hint=_GRANT)
    return UnreachableError(f"the connection to MySQL was lost: {text} ({number})", where=where)


def _dump_refused(text: str, where: str) -> TidemarkError:
    lower = text.lower()
    if any(known in lower for known in _PURGED):
        return PositionPurgedError(
            f"MySQL no longer has the binlog after the stored position: {text}",
            where=where,
            hint="What to do: docs/errors/position-purged.md. Keep binlogs longer (binlog_expire_logs_seconds).",
        )
    if _SAME_ID in lower:
        return DuplicateReaderError(
            f"another replica reads with the same server id: {text}",
            hint="Give each instance its own [source] server_id.",
        )
    return PositionLostError(
        f"MySQL cannot send the binlog from the stored position on: {text}",
        where=where,
        hint=_NO_BOUNDARY if _TOO_LONG in lower else _OTHER_BINLOG,
    )


def _parts(error: pymysql.Error) -> tuple[int, str]:
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    return number, text
