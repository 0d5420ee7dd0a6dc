"""What the native engine stumbles over, as one of our errors."""

from __future__ import annotations

import pymysql

from cdc.source.dump_errors import translate
from cdc.source.refusal import OTHER_SERVER, incident, partial_image, rolled_back, unfinished, unsupported, xa_rows
from cdc.source.wire import type_name
from ops import mysql_tls
from schemas.errors import PositionLostError, RefusedError, TidemarkError, UndecodableError, UnreachableError
from schemas.position import Position


def named(fault: Exception, position: Position) -> TidemarkError:
    """`fault.args`: kind, what, the place in the binlog, a number (event type or the server's error)."""
    kind, what, place, number = fault.args
    error = _error(kind, what, number, position)
    error.where = error.where or place
    return error


def _error(kind: str, what: str, number: int, position: Position) -> TidemarkError:
    if kind == "server":
        return translate(pymysql.err.OperationalError(number, what), position)
    if kind == "unreachable":
        return UnreachableError(
            f"the connection to MySQL was lost: {what}",
            where=f"position {position.gtid_set or f'{position.file}:{position.pos}'}",
        )
    if kind == "other-server":
        return UnreachableError(what, hint=OTHER_SERVER)
    if kind == "refused":
        hint = mysql_tls.HINT if what.startswith(_TLS_FAILS) else "Check [source] user, tls and ca_file."
        return RefusedError(what, hint=hint)
    return _refusal(kind, what, number)


def _refusal(kind: str, what: str, number: int) -> TidemarkError:
    if kind == "position-lost":
        text, _, hint = what.partition("\n")
        return PositionLostError(text, hint=hint)
    if found := _REFUSALS.get(kind):
        return found()
    if kind == "unsupported":
        return unsupported(number, engine="native")
    if kind == "xa-rows":
        return xa_rows(what)
    return UndecodableError(
        f"the event {type_name(number)} cannot be decoded: {what}" if number else what,
        hint="Read the place with mysqlbinlog --verify-binlog-checksum -vv; if it can, please report this.",
    )


_TLS_FAILS = "TLS with MySQL fails"  # `refused` in the crate's socket.rs
_REFUSALS = {
    "partial-image": partial_image,
    "rolled-back": rolled_back,
    "unfinished": unfinished,
    "incident": incident,
}
