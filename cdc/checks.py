"""Preflight: everything that would lose changes, found before the first one is read, each with what to paste."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from cdc.check_grants import account, replication_findings, select_findings
from cdc.check_logged import logged_findings, named_databases
from cdc.check_position import resumable
from cdc.check_protection import CHECK, protection_findings
from cdc.check_server import server_findings
from cdc.check_tables import cascades_logged, refused_tables, table_findings
from cdc.inventory import TableFacts, tables
from cdc.position_store import Instance, PositionStore
from cdc.protections import policies, protections
from cdc.route import TableFilter
from cdc.server import Connection, Server, asking, query
from cdc.source.engine import chosen
from cdc.topic_configs import Losing, by_reason, remedy
from cdc.topics import Topics
from ops.checks import Finding, Severity
from ops.mysql import connect
from ops.settings import Settings
from schemas.errors import ConfigError, PreflightError, TidemarkError
from schemas.extension import INSTALL
from schemas.names import positions_topic, schema_topic

_DERIVED_FROM = 1 << 31  # people number their servers from below


def server_id(settings: Settings, host: str, *, own: bool = True) -> int:
    """The configured server id, or one that stays the same for this source on this host.

    `own` false: never the configured one, for a second reader.
    """
    derived = _DERIVED_FROM + zlib.crc32(f"{settings.source.name}@{host}".encode()) % (_DERIVED_FROM - 1)
    return settings.source.server_id if own and settings.source.server_id else derived


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What a look at the server gave. `refused`: `database.table` -> why and what to do."""

    server: Server
    tables: tuple[TableFacts, ...]
    refused: Mapping[str, tuple[str, str]]
    findings: tuple[Finding, ...]

    @property
    def doubts(self) -> tuple[Finding, ...]:
        """What to warn of about protected columns at a start."""
        wanted = (CHECK, Severity.WARN)
        return tuple(finding for finding in self.findings if (finding.check, finding.severity) == wanted)

    @property
    def captured(self) -> tuple[str, ...]:
        return tuple(table.full_name for table in self.tables if table.full_name not in self.refused)

    def enforce(self) -> None:
        """Raise `PreflightError` that tells all failures at once."""
        failed = [finding for finding in self.findings if finding.severity is Severity.FAIL]
        if failed:
            raise PreflightError(
                "; ".join(finding.what for finding in failed),
                where=failed[0].where,
                hint="\n".join(dict.fromkeys(finding.remedy for finding in failed if finding.remedy)),
            )


def wanted_tables(settings: Settings) -> TableFilter:
    """The filter that the configuration asks for. Raises `ConfigError` if it asks for nothing."""
    if not settings.cdc.tables and not settings.cdc.allow_empty:
        raise ConfigError("[cdc] tables is empty: nothing would be captured", hint='Set [cdc] tables = ["shop.*"].')
    return TableFilter(settings.cdc.tables, settings.cdc.exclude)


def inspect(connection: Connection, settings: Settings, *, own_id: int | None = None) -> Inspected:
    """Look at everything; never raises for what it finds. `own_id`: the server id that we would read with."""
    where = settings.source.where
    with asking(where):
        server = Server.ask(connection)
        found = tables(connection, wanted_tables(settings))
        logged = cascades_logged(connection, server)
        allowed = _allowed(settings)
        findings = [
            *server_findings(connection, server, where, engine=chosen(settings.cdc.engine).name),
            *logged_findings(
                connection, server, named_databases((table.db for table in found), settings.cdc.tables), where
            ),
            *replication_findings(connection, server, where),
            *select_findings(connection, found, settings.cdc.tables, where),
            *_server_id_findings(connection, own_id, where),
            *table_findings(found, logged=logged, allowed=allowed, where=where),
            *protection_findings(connection, found, policies(settings), where),
        ]
        refused = refused_tables(found, logged=logged, allowed=allowed)
        findings += _count_findings(connection, settings, len(found), len(refused))
    return Inspected(server=server, tables=tuple(found), refused=refused, findings=tuple(findings))


def _allowed(settings: Settings) -> Callable[[str], bool]:
    patterns = [pattern for pattern, table in settings.cdc.table.items() if table.allow_unsafe]
    return lambda name: any(fnmatchcase(name, pattern) for pattern in patterns)


def _count_findings(connection: Connection, settings: Settings, found: int, refused: int) -> list[Finding]:
    where = settings.source.where
    patterns = ", ".join(settings.cdc.tables) or "none"
    if found - refused or settings.cdc.allow_empty:
        captured = f"{found - refused} of {found} tables that match are captured"
        return [Finding(check="tables", severity=Severity.OK, what=captured, where=where)]
    what = (
        f"every table that matches [cdc] tables ({patterns}) is refused"
        if found
        else f"[cdc] tables ({patterns}) matches no table that {account(connection)} can see"
    )
    return [
        Finding(
            check="tables",
            severity=Severity.FAIL,
            what=what,
            where=where,
            remedy="Correct [cdc] tables and exclude, or set [cdc] allow_empty = true if the tables come later.",
        )
    ]


def _server_id_findings(connection: Connection, own_id: int | None, where: str) -> list[Finding]:
    if own_id is None:
        return []
    theirs = int(query(connection, "SELECT @@GLOBAL.server_id")[0][0])
    if own_id != theirs:
        return []
    return [
        Finding(
            check="server_id",
            severity=Severity.FAIL,
            what=f"[source] server_id = {own_id} is the server's own",
            where=where,
            remedy="Give [source] server_id a number that no server of the replication topology has.",
        )
    ]


def findings(settings: Settings) -> list[Finding]:
    """What the doctor shows of cdc: MySQL, and Kafka's topics. What cannot be reached is a finding too."""
    kafka = _kafka_findings(settings)
    answers = kafka[0].severity is Severity.OK
    return [
        *_engine_findings(settings),
        *_key_findings(settings),
        *_mysql_findings(settings, with_position=answers),
        *kafka,
    ]


def _key_findings(settings: Settings) -> list[Finding]:
    """Whether the key of the hashes is there and nobody else's; nothing if none is needed."""
    try:
        key = protections(settings).key
    except TidemarkError as error:
        return [_failed("hash-key", error)]
    found = f"the key of the hashes is there: {settings.cdc.hash_key_file}"
    return [Finding(check="hash-key", severity=Severity.OK, what=found)] if key else []


def _engine_findings(settings: Settings) -> list[Finding]:
    """Which engine would read the binlog, and why; a slow one that nobody asked for is a warning."""
    try:
        engine = chosen(settings.cdc.engine)
    except ConfigError as error:
        return [_failed("engine", error)]
    slow = engine.name == "portable" and settings.cdc.engine == "auto"
    return [
        Finding(
            check="engine",
            severity=Severity.WARN if slow else Severity.OK,
            what=f"the {engine.name} engine reads the binlog: {engine.why}",
            remedy=INSTALL if slow else "",
        )
    ]


def _mysql_findings(settings: Settings, *, with_position: bool) -> list[Finding]:
    try:
        connection = connect(settings.source)
        try:
            seen = inspect(connection, settings, own_id=settings.source.server_id)
            position = _position_finding(connection, settings, seen.server) if with_position else []
        finally:
            connection.close()
    except TidemarkError as error:
        return [_failed("mysql", error)]
    found = f"MySQL {seen.server.text} answers"
    return [
        Finding(check="mysql", severity=Severity.OK, what=found, where=settings.source.where),
        *seen.findings,
        *position,
    ]


def _position_finding(connection: Connection, settings: Settings, server: Server) -> list[Finding]:
    """Whether the stored position can be resumed from."""
    where = settings.source.where
    try:
        stored = PositionStore(settings, Instance.of_this_process()).read().position
        if stored is None:
            return [Finding(check="position", severity=Severity.OK, what="no position is stored yet", where=where)]
        with asking(where):
            resumable(connection, server, stored, where=where)
    except TidemarkError as error:
        return [_failed("position", error)]
    held = "the server holds everything after the stored position"
    return [Finding(check="position", severity=Severity.OK, what=held, where=where)]


def _kafka_findings(settings: Settings) -> list[Finding]:
    where = settings.kafka.bootstrap_servers
    try:
        topics = Topics(settings.kafka, settings.source.name)
        count, lost = len(topics.of_source()), topics.losing()
    except TidemarkError as error:
        return [_failed("kafka", error)]
    found = f"Kafka answers, with {count} topics of source {settings.source.name}"
    return [Finding(check="kafka", severity=Severity.OK, what=found, where=where), *_losing_findings(settings, lost)]


def _losing_findings(settings: Settings, lost: Losing) -> list[Finding]:
    """What keeps cdc from starting, for control topics; a table's can be meant so, and its index is not built anew."""
    vital = {positions_topic(settings.source.name), schema_topic(settings.source.name)}
    unseen = [
        Finding(
            check="topic",
            severity=Severity.WARN,
            what=f"whether Kafka deletes old records of {len(topics)} topics cannot be seen: {reason}",
            where=settings.kafka.bootstrap_servers,
            remedy="Give [kafka] user DESCRIBE_CONFIGS on them: docs/errors/refused.md.",
        )
        for reason, topics in by_reason(lost.unseen).items()
    ]
    return unseen + [
        Finding(
            check="topic",
            severity=Severity.FAIL if topic in vital else Severity.WARN,
            what=f"Kafka deletes old records of topic {topic} ({limits}): they cannot be read again",
            where=settings.kafka.bootstrap_servers,
            remedy=remedy([topic], settings.kafka.bootstrap_servers),
        )
        for topic, limits in lost.limits.items()
    ]


def _failed(check: str, error: TidemarkError) -> Finding:
    return Finding(check=check, severity=Severity.FAIL, what=error.what, where=error.where, remedy=error.hint)
