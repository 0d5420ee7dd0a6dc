"""What the server says on the very connection that is going to dump."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pymysql

from cdc.source.refusal import OTHER_SERVER
from schemas.errors import UnreachableError
from schemas.position import Position

_NO_SUCH_LOG = 1220
_HEAD = 3  # format description, earlier GTIDs, and the first event of a transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """`fold_names`: names are compared without case. `no_gtid_before`: the position comes before every GTID."""

    fold_names: bool = False
    no_gtid_before: bool = False


def ask(connection: pymysql.connections.Connection, position: Position) -> ServerFacts:
    """Raises `UnreachableError` if this is another server than the one that the position was judged for."""
    mysql = "mariadb" not in str(connection.get_server_info()).lower()
    ((folded,),) = _query(connection, "SELECT @@lower_case_table_names")
    if mysql:
        _check_uuid(connection, position)
    return ServerFacts(fold_names=bool(folded), no_gtid_before=mysql and _no_gtid_before(connection, position))


def _check_uuid(connection: pymysql.connections.Connection, position: Position) -> None:
    ((uuid,),) = _query(connection, "SELECT @@server_uuid")
    if position.server_uuid not in ("", uuid):
        raise UnreachableError(
            f"the dump would come from server {uuid}, and the position is one of server {position.server_uuid}",
            hint=OTHER_SERVER,
        )


def _no_gtid_before(connection: pymysql.connections.Connection, position: Position) -> bool:
    # A set that lacks what came before it would ask for all of that again, so the binlog itself has to say that
    # there is nothing: no earlier GTIDs at the head of the file, and no transaction between there and the position.
    if position.gtid_set or not position.file:
        return False
    ((mode, gone),) = _query(connection, "SELECT @@GLOBAL.gtid_mode, @@GLOBAL.gtid_purged")
    if mode != "ON" or gone:
        return False
    try:
        head = _query(connection, f"SHOW BINLOG EVENTS IN %s FROM 4 LIMIT {_HEAD}", (position.file,))
    except pymysql.MySQLError as error:
        if error.args[0] == _NO_SUCH_LOG:  # the dump itself says it better
            return False
        raise
    earlier = [info for _, _, kind, _, _, info in head if kind == "Previous_gtids"]
    return earlier == [""] and all(start >= position.pos for _, start, *_ in head[2:])


def _query(
    connection: pymysql.connections.Connection, sql: str, args: tuple[Any, ...] = ()
) -> tuple[tuple[Any, ...], ...]:
    with connection.cursor() as cursor:
        cursor.execute(sql, args or None)
        return tuple(cursor.fetchall())
