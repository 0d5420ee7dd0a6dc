"""The real servers: up, again, killed, restarted, interrupted half-way, down; and nobody else is touched."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.errors import TidemarkError
from stack import KafkaServer, MysqlServer, ServerState, Stack, StackStatus
from stack.errors import ServerStartError
from stack.mysql import tool
from stack.proc import identify
from stack.process import MARK, ProcessRecord, read_record, write_record

pytestmark = pytest.mark.stack


def marked(folder: Path) -> list[int]:
    """Live processes of a stack, found without its own records: by mark and by folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            ours = f"{MARK}=".encode() in (entry / "environ").read_bytes()
            here = bytes(folder) in (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if ours and here and identify(int(entry.name)):
            found.append(int(entry.name))
    return found


def wait_until(condition: Callable[[], object], timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def command(verb: str, folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "stack", verb, "--state-dir", str(folder), *more]


def call(verb: str, folder: Path, *more: str) -> dict[str, Any]:
    done = subprocess.run(command(verb, folder, "--json", *more), stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    assert (found["schema"], found["command"]) == ("tidemark.stack/1", verb)
    return found


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    try:
        stack.up()
        yield stack
    except TidemarkError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no real servers here: {error}. {error.hint}")
    finally:
        stack.down()
    assert marked(stack.state_dir) == []


def elastic(status: StackStatus, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(status.elasticsearch.host, status.elasticsearch.port, timeout=60)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def ask(connection: Any, sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def test_up_means_that_each_really_answers(stack: Stack) -> None:
    status = stack.status()
    assert status.running
    with stack.mysql.connect() as connection:
        settings = dict(
            ask(
                connection,
                "SHOW VARIABLES WHERE Variable_name IN ('gtid_mode','binlog_format','binlog_row_metadata',"
                "'binlog_row_image','log_bin','sync_binlog','innodb_flush_log_at_trx_commit')",
            )
        )
        (version,) = ask(connection, "SELECT VERSION()")[0]
    assert settings == {
        "gtid_mode": "ON",
        "binlog_format": "ROW",
        "binlog_row_metadata": "FULL",
        "binlog_row_image": "FULL",
        "log_bin": "ON",
        "sync_binlog": "1",
        "innodb_flush_log_at_trx_commit": "1",
    }
    assert status.mysql.version == version
    admin = AdminClient({"bootstrap.servers": status.kafka.address})
    assert len(admin.list_topics(timeout=60).brokers) == 1
    assert elastic(status, "GET", "/_cluster/health")[1]["status"] in {"green", "yellow"}


def test_the_capturing_user_may_what_cdc_needs_and_no_more(stack: Stack) -> None:
    with stack.mysql.connect(stack.mysql.capture) as connection:
        grants = " ".join(row[0] for row in ask(connection, "SHOW GRANTS"))
        with pytest.raises(pymysql.err.OperationalError, match="denied"):
            ask(connection, "CREATE DATABASE nope")
    for grant in ("SELECT", "REPLICATION SLAVE", "REPLICATION CLIENT"):
        assert grant in grants
    assert stack.mysql.root.password_file.stat().st_mode & 0o077 == 0


def test_the_socket_and_the_tools_work(stack: Stack) -> None:
    with pymysql.connect(
        unix_socket=str(stack.status().mysql.socket), user="root", password=stack.mysql.root.password
    ) as connection:
        assert ask(connection, "SELECT 1") == [(1,)]
    for name in ("mysqlbinlog", "mysql", "mysqldump"):
        said = subprocess.run([*tool(name), "--version"], capture_output=True, text=True, check=True).stdout
        assert stack.mysql.version in said


def test_servers_run_as_an_ordinary_user_and_in_sessions_of_their_own(stack: Stack) -> None:
    for server in stack.servers:
        assert Path(f"/proc/{server.pid}").stat().st_uid != 0
        assert os.getsid(server.pid) != os.getsid(0)


def test_nothing_listens_beyond_this_machine(stack: Stack) -> None:
    ports = {port for server in stack.servers for port in server.ports.values()}
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if " 0A " in line]
    listening += [line.split()[1] for line in Path("/proc/net/tcp6").read_text().splitlines()[1:] if " 0A " in line]
    hosts = {place.split(":")[0] for place in listening if int(place.split(":")[1], 16) in ports}
    assert hosts <= {"0100007F", "0000000000000000FFFF00000100007F"}, hosts


def test_an_index_is_never_made_by_accident(stack: Stack) -> None:
    code, _ = elastic(stack.status(), "PUT", "/by_accident/_doc/1", {"a": 1})
    assert code == 404


def test_a_second_up_changes_nothing(stack: Stack) -> None:
    before = stack.status()
    start = time.monotonic()
    assert stack.up() == before
    assert time.monotonic() - start < 60
    assert call("up", stack.state_dir)["servers"] == before.to_json()["servers"]


@pytest.fixture
def written(stack: Stack) -> None:
    """Something in each server, acknowledged."""
    status = stack.status()
    with stack.mysql.connect() as connection:
        ask(connection, "CREATE DATABASE IF NOT EXISTS kept")
        ask(connection, "CREATE TABLE IF NOT EXISTS kept.t (id INT PRIMARY KEY)")
        ask(connection, "REPLACE INTO kept.t VALUES (42)")
    topic = NewTopic("kept", num_partitions=1, replication_factor=1)
    admin = AdminClient({"bootstrap.servers": status.kafka.address})
    admin.create_topics([topic])["kept"].result(60)
    producer = Producer({"bootstrap.servers": status.kafka.address, "acks": "all"})
    producer.produce("kept", b"x")
    assert producer.flush(60) == 0
    elastic(status, "PUT", "/kept")
    assert elastic(status, "PUT", "/kept/_doc/1", {"a": 1})[0] == 201


@pytest.mark.usefixtures("written")
def test_killed_servers_come_back_with_port_and_data(stack: Stack) -> None:
    before = stack.status()
    for name in ("mysql", "kafka"):
        stack.kill_server(name)
        assert stack.pid(name) == 0
    dead = stack.status()
    assert (dead.mysql.state, dead.kafka.state) == (ServerState.DIED, ServerState.DIED)
    assert not dead.running
    stack.start_server("mysql")  # one alone, the way fault tests do
    after = stack.up()  # and the other by the next `up`
    assert after.running
    assert [server.port for server in after.servers] == [server.port for server in before.servers]
    assert {server.pid for server in after.servers} & {server.pid for server in before.servers} == {
        before.elasticsearch.pid
    }
    with stack.mysql.connect() as connection:
        assert ask(connection, "SELECT id FROM kept.t") == [(42,)]
    assert "kept" in AdminClient({"bootstrap.servers": after.kafka.address}).list_topics(timeout=60).topics
    assert elastic(after, "GET", "/kept/_doc/1")[1]["found"]


def test_a_paused_server_is_there_and_does_not_answer(stack: Stack) -> None:
    stack.pause_server("mysql")
    try:
        assert stack.mysql.state is ServerState.UNREADY
    finally:
        stack.resume_server("mysql")
    assert stack.mysql.state is ServerState.RUNNING


def test_printed_configuration_and_shell_lines(stack: Stack) -> None:
    toml = call("config", stack.state_dir, "--name", "blog")["toml"]
    assert 'name = "blog"' in toml
    assert 'tables = ["blog.*"]' in toml
    assert call("env", stack.state_dir)["variables"] == stack.status().test_environment()


def test_a_mysql_of_ones_own(tmp_path: Path) -> None:
    server = MysqlServer(tmp_path / ("deep" * 20), args=("--binlog-format=STATEMENT", "--gtid-mode=OFF_PERMISSIVE"))
    try:
        assert server.start()
        assert not server.start(), "it was launched already"
        with server.connect() as connection:
            assert ask(connection, "SELECT @@global.binlog_format, @@global.gtid_mode") == [
                ("STATEMENT", "OFF_PERMISSIVE")
            ]
        server.stop()
        assert server.state is ServerState.STOPPED
    finally:
        server.wipe()
    assert not server.folder.exists()


def test_who_fails_shows_its_log_and_takes_the_others_down(tmp_path: Path) -> None:
    stack = Stack(tmp_path, kafka_properties={"log.segment.bytes": "not a number"})
    with pytest.raises(ServerStartError, match="not a number") as caught:
        stack.up()
    assert "kafka" in caught.value.what
    assert marked(tmp_path) == []
    assert [server.state for server in stack.status().servers] == [ServerState.STOPPED] * 3


def test_a_slow_server_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    server = KafkaServer(tmp_path)
    with pytest.raises(ServerStartError, match="did not answer in time"):
        server.start(timeout_s=0.2)
    assert marked(tmp_path) == []


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, *(pytest.param(n, marks=pytest.mark.soak) for n in (signal.SIGINT, signal.SIGHUP))]
)
def test_a_signal_half_way_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    up = subprocess.Popen(command("up", tmp_path), stdout=subprocess.PIPE, text=True)
    wait_until(lambda: len(marked(tmp_path)) >= 2)
    up.send_signal(number)
    out, _ = up.communicate(timeout=180)
    assert (up.returncode, out) == (130, "")
    assert marked(tmp_path) == []


def killed_half_way(folder: Path) -> None:
    up = subprocess.Popen(command("up", folder), stdout=subprocess.DEVNULL)
    wait_until(lambda: len(marked(folder)) >= 2)
    up.kill()
    up.wait()
    assert marked(folder), "there is nothing to clean up; the test proves nothing"


def test_sigkill_half_way_is_cleaned_up_by_down(tmp_path: Path) -> None:
    killed_half_way(tmp_path)
    found = call("down", tmp_path, "--wipe")
    assert marked(tmp_path) == []
    assert {server["state"] for server in found["servers"].values()} == {"stopped"}
    assert not (tmp_path / "mysql").exists()


def test_sigkill_half_way_is_taken_over_by_the_next_up_and_two_of_them_agree(tmp_path: Path) -> None:
    killed_half_way(tmp_path)
    both = [subprocess.Popen(command("up", tmp_path, "--json"), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        said = [json.loads(up.communicate(timeout=300)[0])["servers"] for up in both]
        assert said[0] == said[1]
        assert {server["state"] for server in said[0].values()} == {"running"}
        pids = {server["pid"] for server in said[0].values()}
        wait_until(lambda: set(marked(tmp_path)) == pids)  # Elasticsearch's launcher leaves a little later
    finally:
        Stack(tmp_path).down(wipe=True)
    assert marked(tmp_path) == []


def test_a_stranger_with_a_reused_pid_lives_on(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        there = identify(stranger.pid)
        assert there is not None
        stack = Stack(tmp_path)
        for server in stack.servers:
            server.folder.mkdir(parents=True)
            earlier = type(there)(pid=there.pid, start_ticks=there.start_ticks - 100, boot=there.boot)
            write_record(server.folder / "process.json", ProcessRecord(token=f"of {server.name}", main=earlier))
            assert read_record(server.folder / "process.json") is not None
            assert server.state is ServerState.DIED
        stack.down()
        assert stranger.poll() is None
        assert [server.state for server in stack.servers] == [ServerState.STOPPED] * 3
    finally:
        stranger.kill()
        stranger.wait()


def test_a_port_taken_by_another_while_down_is_exchanged(tmp_path: Path) -> None:
    server = MysqlServer(tmp_path / "mysql")
    try:
        server.start()
        server.stop()
        with socket.socket() as squatter:
            squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            squatter.bind(("127.0.0.1", server.port))
            squatter.listen()
            taken = server.port
            server.start()
            assert server.port != taken
    finally:
        server.wipe()
