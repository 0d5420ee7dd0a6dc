"""MySQL connections from the settings, nothing else."""

from __future__ import annotations

import ssl
from typing import Any

import pymysql
from pymysql.constants import CR, ER

from ops import mysql_tls
from ops.settings import SourceSettings, existing
from schemas.errors import RefusedError, TidemarkError, UnreachableError

_ANSWER_S = 45  # for a query; less than what the health check calls stuck
_REFUSED = {ER.ACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR, ER.HOST_NOT_PRIVILEGED, ER.HOST_IS_BLOCKED, 1698, 3118}
_LOST = {CR.CR_CONNECTION_ERROR, CR.CR_CONN_HOST_ERROR, CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST, ER.SERVER_SHUTDOWN}


def connect_args(settings: SourceSettings) -> dict[str, Any]:
    """Keyword arguments of `pymysql.connect`, for this process's own connections and the replication stream."""
    args: dict[str, Any] = {
        "user": settings.user,
        "password": settings.secret().encode(),  # pymysql would make latin1 of a str
        "charset": "utf8mb4",
        "connect_timeout": max(1, int(settings.connect_timeout_s)),
        "local_infile": False,
    }
    if settings.socket:
        args["unix_socket"] = str(settings.socket)
    else:
        args |= {"host": settings.host, "port": settings.port}
    if settings.verify_tls:
        args["ssl"] = mysql_tls.context(existing(settings.ca_file) if settings.ca_file else None)
    return args


def connect(settings: SourceSettings, **overrides: Any) -> pymysql.connections.Connection[Any]:
    """An autocommit connection in UTC. Raises `RefusedError` or `UnreachableError`."""
    defaults = {"autocommit": True, "read_timeout": _ANSWER_S, "init_command": "SET time_zone = '+00:00'"}
    arguments = {**connect_args(settings), **defaults, **overrides}
    answer_s = arguments.pop("read_timeout")
    try:
        connection = pymysql.connect(**arguments, read_timeout=arguments["connect_timeout"])
    except (pymysql.Error, OSError) as error:
        raise translate(error, settings.where) from error
    # pymysql's connect_timeout ends with TCP: a port that accepts and says nothing would hold us as long as a query.
    connection._read_timeout = answer_s  # noqa: SLF001
    return connection


def translate(error: Exception, where: str) -> TidemarkError:
    """One of our errors for one of pymysql's."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = error.args[-1] if error.args else str(error)
    cause: BaseException | None = getattr(error, "original_exception", None) or error
    if isinstance(cause, ssl.SSLCertVerificationError):  # all else can be a connection that broke
        return RefusedError(f"TLS with MySQL fails: {mysql_tls.why(cause)}", where=where, hint=mysql_tls.HINT)
    if number in _REFUSED:
        return RefusedError(
            f"MySQL refuses the login: {text}", where=where, hint="Check [source] user and password_file."
        )
    if isinstance(error, OSError) or number in _LOST or number == 0:
        return UnreachableError(f"MySQL does not answer: {text}", where=where, hint="Check [source] host and port.")
    return UnreachableError(f"MySQL says {number}: {text}", where=where)
