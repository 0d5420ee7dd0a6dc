"""Preflight on a server of its own: everything that is wrong at once, each with the exact remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdc.check_position import resumable
from cdc.checks import findings, inspect
from cdc.server import Server, binlog_files, purged
from cdc.start import first_position
from cdc_process import execute
from ops.checks import Severity
from ops.mysql import connect
from ops.settings import Settings
from schemas.errors import ConfigError, PositionLostError, PositionPurgedError, PreflightError
from schemas.position import GtidSet, Position
from stack.mysql import MysqlServer

pytestmark = pytest.mark.stack

BAD = {
    "binlog_format": ("STATEMENT", "SET PERSIST binlog_format = 'ROW';"),
    "binlog_row_image": ("MINIMAL", "SET PERSIST binlog_row_image = 'FULL';"),
    "binlog_row_metadata": ("MINIMAL", "SET PERSIST binlog_row_metadata = 'FULL';"),
    "binlog_row_value_options": ("PARTIAL_JSON", "SET PERSIST binlog_row_value_options = '';"),
    "binlog_error_action": ("IGNORE_ERROR", "SET PERSIST binlog_error_action = 'ABORT_SERVER';"),
    "binlog_transaction_compression": ("ON", "SET PERSIST binlog_transaction_compression = OFF;"),
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MysqlServer]:
    server = MysqlServer(tmp_path_factory.mktemp("own"))
    server.start()
    try:
        root = server.root
        settings = _settings(server, root.user, root.password)
        with connect(settings.source) as connection:
            execute(
                connection,
                "CREATE DATABASE d",
                "CREATE TABLE d.t (id INT PRIMARY KEY)",
                "CREATE TABLE d.bare (id INT)",
                "CREATE TABLE d.unique_only (id INT NOT NULL UNIQUE)",
                "CREATE TABLE d.old (id INT PRIMARY KEY) ENGINE=MyISAM",
                "CREATE TABLE d.child (id INT PRIMARY KEY, t INT,"
                " FOREIGN KEY (t) REFERENCES d.t (id) ON DELETE CASCADE)",
            )
        yield server
    finally:
        server.stop()


def _settings(server: MysqlServer, user: str, password: str, **cdc: Any) -> Settings:
    return Settings.model_validate(
        {
            "source": {"name": "pre", "port": server.port, "user": user, "password": password, "tls": "off"},
            "cdc": {"tables": ["d.*"], **cdc},
            "kafka": {"bootstrap_servers": "127.0.0.1:1"},
        }
    )


@pytest.fixture
def ask(own: MysqlServer) -> Callable[..., Settings]:
    def make(**cdc: Any) -> Settings:
        return _settings(own, own.root.user, own.root.password, **cdc)

    return make


def refused(settings: Settings) -> dict[str, tuple[str, str]]:
    with connect(settings.source) as connection:
        seen = inspect(connection, settings)
        seen.enforce()
        return dict(seen.refused)


def test_all_bad_settings_at_once(ask) -> None:
    settings = ask(engine="portable")  # the native engine reads compressed transactions and differences
    with connect(settings.source) as connection:
        for name, (value, _) in BAD.items():
            execute(connection, f"SET GLOBAL {name} = '{value}'")
        try:
            with pytest.raises(PreflightError) as caught:
                refused(settings)
        finally:
            for name in BAD:
                execute(connection, f"SET GLOBAL {name} = DEFAULT")
            execute(connection, "SET GLOBAL binlog_row_metadata = 'FULL'")
    for name, (value, remedy) in BAD.items():
        assert f"{name} = {'1' if value == 'ON' else value}" in caught.value.what
        assert remedy in caught.value.hint.splitlines()


def test_a_mended_server_passes_with_the_least_grants(own: MysqlServer, ask) -> None:
    with connect(ask().source) as connection:
        execute(
            connection,
            "CREATE USER least@'%' IDENTIFIED BY 'x'",
            "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO least@'%'",
            "GRANT SELECT ON d.* TO least@'%'",
        )
    settings = _settings(own, "least", "x")
    assert set(refused(settings)) == {"d.bare", "d.unique_only", "d.old"}
    found = findings(settings)
    assert [f.check for f in found if f.severity is Severity.FAIL] == ["kafka"]


def test_a_user_without_anything_is_told_everything(own: MysqlServer, ask) -> None:
    with connect(ask().source) as connection:
        execute(connection, "CREATE USER `o'dd`@'127.0.0.%' IDENTIFIED BY 'x'")
    with pytest.raises(PreflightError) as caught:
        refused(_settings(own, "o'dd", "x"))
    assert set(caught.value.hint.splitlines()) >= {
        "GRANT REPLICATION CLIENT ON *.* TO 'o''dd'@'127.0.0.%';",
        "GRANT REPLICATION SLAVE ON *.* TO 'o''dd'@'127.0.0.%';",
        "GRANT SELECT ON `d`.* TO 'o''dd'@'127.0.0.%';",
    }


def test_children_of_cascades_that_are_not_logged(own: MysqlServer, ask, tmp_path) -> None:
    assert "d.child" not in refused(ask())
    native = MysqlServer(tmp_path / "native", args=("--innodb-native-foreign-keys=ON",))
    native.start()
    try:
        settings = _settings(native, native.root.user, native.root.password)
        with connect(settings.source) as connection:
            execute(
                connection,
                "CREATE DATABASE d",
                "CREATE TABLE d.p (id INT PRIMARY KEY)",
                "CREATE TABLE d.c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES d.p (id) ON DELETE SET NULL)",
            )
        assert set(refused(settings)) == {"d.c"}
        allowed = _settings(native, native.root.user, native.root.password, table={"d.c": {"allow_unsafe": True}})
        assert refused(allowed) == {}
    finally:
        native.stop()


@pytest.fixture(scope="module")
def other_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a server that is started with other arguments each time."""
    return tmp_path_factory.mktemp("other") / "mysql"


@pytest.mark.parametrize(
    ("args", "sql", "failed", "remedy"),
    [
        (["--binlog-do-db=elsewhere"], [], "binlog_do_db keeps the captured database d out", "Add `binlog-do-db = d`"),
        (
            ["--binlog-ignore-db=d"],
            [],
            "binlog_ignore_db keeps the captured database d",
            "Remove `binlog-ignore-db = d`",
        ),
        (["--binlog-do-db=d"], [], "", ""),
        (["--log-replica-updates=OFF"], [], "", ""),
        (
            ["--log-replica-updates=OFF"],
            ["CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1, SOURCE_USER = 'x'"],
            "log_replica_updates = OFF: the server is a replica",
            "Add `log-replica-updates = ON` below [mysqld]",
        ),
    ],
    ids=["do_db", "ignore_db", "do_db of ours", "no replica", "replica"],
)
def test_changes_that_are_not_logged(
    other_folder: Path, args: list[str], sql: list[str], failed: str, remedy: str
) -> None:
    server = MysqlServer(other_folder, args=args)
    try:
        server.start()
        settings = _settings(server, server.root.user, server.root.password)
        with connect(settings.source) as connection:
            table = "CREATE TABLE IF NOT EXISTS d.t (id INT PRIMARY KEY)"
            execute(connection, "CREATE DATABASE IF NOT EXISTS d", table, *sql)
            try:
                seen = inspect(connection, settings)
            finally:
                execute(connection, "RESET REPLICA ALL")
    finally:
        server.stop()
    found = [finding for finding in seen.findings if finding.severity is Severity.FAIL]
    assert [finding.what.startswith(failed) for finding in found] == ([True] if failed else [])
    assert all(remedy in finding.remedy for finding in found)
    warned = {finding.check for finding in seen.findings if finding.severity is Severity.WARN}
    assert ("binlog_do_db" in warned) is (args == ["--binlog-do-db=d"])


def test_no_primary_key_cannot_be_allowed(ask) -> None:
    names = ("d.bare", "d.unique_only", "d.old")
    assert set(refused(ask(table={name: {"allow_unsafe": True} for name in names}))) == {"d.bare", "d.unique_only"}


def test_a_filter_that_matches_nothing(ask) -> None:
    with pytest.raises(PreflightError, match="matches no table"):
        refused(ask(tables=["nothing.*"]))
    with pytest.raises(PreflightError, match="is refused"):
        refused(ask(tables=["d.bare"]))
    assert refused(ask(tables=["nothing.*"], allow_empty=True)) == {}


def test_our_own_server_id(own: MysqlServer, ask) -> None:
    settings = ask()
    with connect(settings.source) as connection:
        with pytest.raises(PreflightError, match="server_id = 1 is the server's own"):
            inspect(connection, settings, own_id=1).enforce()
        inspect(connection, settings, own_id=2).enforce()


def test_where_a_source_can_start(ask) -> None:
    settings = ask()
    with connect(settings.source) as connection:
        execute(connection, "FLUSH BINARY LOGS", "INSERT INTO d.t VALUES (100)", "INSERT INTO d.t VALUES (101)")
        server = Server.ask(connection)

        def at(start: str) -> Position:
            return first_position(connection, server, start, highest_seq=0)

        latest, earliest = at("latest"), at("earliest")
        assert (earliest.file, earliest.pos) == (binlog_files(connection)[0][0], 4)
        assert earliest.gtid_set == str(purged(connection))
        by_file = at(f"file:{latest.file}:{latest.pos}")
        assert (by_file.file, by_file.pos, by_file.gtid_set) == (latest.file, latest.pos, latest.gtid_set)
        head = at(f"file:{latest.file}:4")
        assert GtidSet(latest.gtid_set).covers(GtidSet(head.gtid_set))
        assert head.gtid_set != latest.gtid_set
        assert at(f"gtid:{head.gtid_set}").gtid_set == head.gtid_set
        execute(connection, "SET gtid_next = 'AUTOMATIC:tide'", "INSERT INTO d.t VALUES (102)")
        execute(connection, "SET gtid_next = 'AUTOMATIC'", "INSERT INTO d.t VALUES (103)")
        tagged = at("latest")
        assert GtidSet(at(f"file:{tagged.file}:{tagged.pos}").gtid_set) == GtidSet(tagged.gtid_set)
        assert ":tide:1" in tagged.gtid_set
        for nowhere in ("file:bin.999999:4", f"file:{latest.file}:999999", f"gtid:{server.uuid}:1-99999"):
            with pytest.raises(ConfigError):
                at(nowhere)


def test_positions_that_are_lost(ask) -> None:
    settings = ask()
    with connect(settings.source) as connection:
        server = Server.ask(connection)
        latest = first_position(connection, server, "latest", highest_seq=0)

        def check(**changes: Any) -> Position:
            values = {name: getattr(latest, name) for name in Position.__slots__} | changes
            return resumable(connection, server, Position(**values), where="here", wanted=lambda: True)

        assert check() == latest
        assert check(gtid_set="") == latest.__class__(
            **{n: getattr(latest, n) for n in Position.__slots__} | {"gtid_set": ""}
        )
        moved = check(server_uuid="other", pos=77)
        assert (moved.server_uuid, moved.file, moved.open) == (server.uuid, "", None)
        with pytest.raises(PositionLostError, match="another server"):
            check(gtid_set="", server_uuid="other")
        with pytest.raises(PositionLostError, match="ends before"):
            check(gtid_set="", pos=1 << 30)
        execute(connection, "FLUSH BINARY LOGS", "INSERT INTO d.t VALUES (200)", "FLUSH BINARY LOGS")
        with connection.cursor() as cursor:
            cursor.execute("SHOW BINARY LOGS")
            newest = cursor.fetchall()[-1][0]
        execute(connection, f"PURGE BINARY LOGS TO '{newest}'")
        for changes in ({}, {"gtid_set": ""}):
            with pytest.raises(PositionPurgedError) as caught:
                check(**changes)
            assert newest in caught.value.what
            assert "binlog_expire_logs_seconds" in caught.value.hint


def test_a_binlog_that_began_anew(ask) -> None:
    """The server has as many transactions as before, but not the same ones."""
    with connect(ask().source) as connection:
        execute(connection, "FLUSH BINARY LOGS", "RESET BINARY LOGS AND GTIDS", "FLUSH BINARY LOGS")
        execute(connection, "CREATE TABLE d.n (id INT PRIMARY KEY)", "INSERT INTO d.n VALUES (1), (2)")
        server = Server.ask(connection)
        before = first_position(connection, server, "latest", highest_seq=0)
        execute(connection, "RESET BINARY LOGS AND GTIDS", "DELETE FROM d.n WHERE id = 1", "DELETE FROM d.n")
        for gtid_set in (before.gtid_set, ""):
            stored = replace(before, gtid_set=gtid_set)
            with pytest.raises(PositionLostError, match="ends before that") as caught:
                resumable(connection, server, stored, where="here")
            assert "reset" in caught.value.hint
        assert resumable(connection, server, replace(before, file="", pos=4), where="here").gtid_set
        now = first_position(connection, server, "latest", highest_seq=0)
        assert resumable(connection, server, now, where="here") == now
