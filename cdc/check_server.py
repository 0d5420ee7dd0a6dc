"""Whether the server is set up so that its binlog holds every change, whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cdc.server import Connection, Server, variable
from ops.checks import Finding, Severity

_HOUR_S = 3600
_KEPT_S = 3 * 24 * _HOUR_S


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """`holds` is asked with the variable's value in capitals; a variable that the version lacks is no finding."""

    name: str
    holds: Callable[[str], bool]
    severity: Severity
    why: str
    remedy: str
    portable_only: bool = False  # the native engine reads it


_RULES = (
    _Rule(
        name="log_bin",
        holds=lambda value: value in ("1", "ON"),
        severity=Severity.FAIL,
        why="MySQL writes no binary log",
        remedy="Add `log-bin = binlog` below [mysqld] in my.cnf and restart mysqld",
    ),
    _Rule(
        name="binlog_format",
        holds=lambda value: value == "ROW",
        severity=Severity.FAIL,
        why="changes are logged as SQL text, their rows cannot be known",
        remedy="SET PERSIST binlog_format = 'ROW';",
    ),
    _Rule(
        name="binlog_row_image",
        holds=lambda value: value == "FULL",
        severity=Severity.FAIL,
        why="rows are logged with only some of their columns",
        remedy="SET PERSIST binlog_row_image = 'FULL';",
    ),
    _Rule(
        name="binlog_row_metadata",
        holds=lambda value: value == "FULL",
        severity=Severity.FAIL,
        why="rows are logged without the names of their columns",
        remedy="SET PERSIST binlog_row_metadata = 'FULL';",
    ),
    _Rule(
        name="binlog_row_value_options",
        holds=lambda value: "PARTIAL_JSON" not in value,
        severity=Severity.FAIL,
        why="JSON columns are logged as differences, which the portable engine does not read",
        remedy="SET PERSIST binlog_row_value_options = '';",
        portable_only=True,
    ),
    _Rule(
        name="binlog_transaction_compression",
        holds=lambda value: value in ("0", "OFF"),
        severity=Severity.FAIL,
        why="transactions are logged compressed, which the portable engine does not read",
        remedy="SET PERSIST binlog_transaction_compression = OFF;",
        portable_only=True,
    ),
    _Rule(
        name="binlog_error_action",
        holds=lambda value: value in ("1", "ABORT_SERVER"),
        severity=Severity.FAIL,
        why="when the binlog cannot be written, the server goes on without one, and nothing tells",
        remedy="SET PERSIST binlog_error_action = 'ABORT_SERVER';",
    ),
    _Rule(
        name="gtid_mode",
        holds=lambda value: value == "ON",
        severity=Severity.WARN,
        why="without GTIDs a position is worth nothing on another server, after a failover for instance",
        remedy="See the manual on `gtid_mode`: it is switched on in steps, without a stop.",
    ),
    _Rule(
        name="binlog_expire_logs_seconds",
        holds=lambda value: int(value) == 0 or int(value) >= _KEPT_S,
        severity=Severity.WARN,
        why="binlogs are kept for less than three days: a longer outage of tidemark loses its position",
        remedy=f"SET PERSIST binlog_expire_logs_seconds = {_KEPT_S};",
    ),
)


def server_findings(connection: Connection, server: Server, where: str, *, engine: str) -> Iterator[Finding]:
    """One finding per variable that this version has; `engine`: the one that will read."""
    for rule in _RULES:
        if rule.portable_only and engine != "portable":
            continue
        value = variable(connection, rule.name)
        if value is not None:
            # MariaDB has no SET PERSIST.
            remedy = rule.remedy.replace("SET PERSIST", "SET GLOBAL") if server.mariadb else rule.remedy
            yield _judge(rule, value, remedy, where)


def _judge(rule: _Rule, value: str, remedy: str, where: str) -> Finding:
    setting = f"{rule.name} = {value or repr('')}"
    if rule.holds(value.upper()):
        return Finding(check=rule.name, severity=Severity.OK, what=setting, where=where)
    return Finding(check=rule.name, severity=rule.severity, what=f"{setting}: {rule.why}", where=where, remedy=remedy)
