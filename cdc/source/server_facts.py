"""What the server says on the very connection that is going to dump."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pymysql

from schemas.errors import UnreachableError
from schemas.position import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """`fold_names`: names are compared without case."""

    fold_names: bool = False


def ask(connection: pymysql.connections.Connection, position: Position) -> ServerFacts:
    """Raises `UnreachableError` if this is another server than the one that the position was judged for."""
    ((folded,),) = _query(connection, "SELECT @@lower_case_table_names")
    if "mariadb" not in str(connection.get_server_info()).lower():
        _check_uuid(connection, position)
    return ServerFacts(fold_names=bool(folded))


def _check_uuid(connection: pymysql.connections.Connection, position: Position) -> None:
    ((uuid,),) = _query(connection, "SELECT @@server_uuid")
    if position.server_uuid not in ("", uuid):
        raise UnreachableError(
            f"the dump would come from server {uuid}, and the position is one of server {position.server_uuid}",
            hint="The address leads to more than one server, or to another one since a moment ago.",
        )


def _query(connection: pymysql.connections.Connection, sql: str) -> tuple[tuple[Any, ...], ...]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return tuple(cursor.fetchall())
