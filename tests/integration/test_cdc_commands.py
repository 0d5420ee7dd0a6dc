"""`cdc tail`, `cdc position show` and `cdc position reset` as commands."""

from __future__ import annotations

import itertools
import json
import re
import select
import signal
import subprocess

import pytest

from cdc_process import command, execute
from runner import until
from topic import read_topics

pytestmark = pytest.mark.stack


def call(settings, *args: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    argv, env = command(settings, *args)
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=timeout_s, check=False)


def test_tail_shows_what_happens(cdc_settings, mysql, table) -> None:
    settings = cdc_settings(kafka={"bootstrap_servers": "127.0.0.1:1"})
    with mysql.connect(database=table) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW BINARY LOG STATUS")
        file, pos, *_ = cursor.fetchone()
        execute(
            connection,
            "INSERT INTO t VALUES (1, 1)",
            "UPDATE t SET n = 2",
            "UPDATE t SET id = 5",
            "DELETE FROM t",
            "TRUNCATE t",
        )
    place = ["--position", f"file:{file}:{pos}"]
    done = call(settings, "tail", "--json", *place, "-n", "6")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["schema"] for line in lines} == {"tidemark.tail/1"}
    assert [line["event"]["op"] for line in lines] == ["c", "u", "d", "c", "d", "t"]
    assert all(isinstance(line["event"]["source"]["seq"], str) for line in lines)
    plain = call(settings, "tail", *place, "--limit", "2", f"{table}.*")
    assert plain.returncode == 0, plain.stderr
    first, second = plain.stdout.splitlines()
    assert f'insert  {table}.t {{"id":1}} id: 1, n: 1' in first
    assert "n: 1 → 2" in second
    assert "\x1b" not in plain.stdout


def test_tail_is_interrupted(cdc_settings, mysql, table) -> None:
    settings = cdc_settings()
    argv, env = command(settings, "tail", "--json")
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            with mysql.connect(database=table) as connection:
                assert process.stdout is not None
                stdout, number = process.stdout, itertools.count(1)

                def shown() -> bool:
                    execute(connection, f"INSERT INTO t VALUES ({next(number)}, 1)")
                    return bool(select.select([stdout], [], [], 0.1)[0])

                until(shown, "the first event")
                assert json.loads(process.stdout.readline())["event"]["op"] == "c"
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)  # somebody goes on reading what it writes
            assert process.returncode == 130
        finally:
            process.kill()


@pytest.mark.parametrize(
    "args", [["--position", "nowhere"], ["--from-start", "--position", "latest"], ["no_dot"]], ids=lambda a: a[0]
)
def test_tail_refuses_nonsense(cdc_settings, args: list[str]) -> None:
    done = call(cdc_settings(), "tail", *args)
    assert done.returncode == 2
    assert done.stdout == ""


def test_position_before_during_and_reset(cdc_settings, start, stored, mysql, table, kafka) -> None:
    settings = cdc_settings()
    empty = json.loads(call(settings, "position", "show", "--json").stdout)
    assert empty == {"schema": "tidemark.position/1", "source": settings.source.name, "position": None, "claim": None}
    assert "no position yet" in call(settings, "position", "show").stdout
    running = start(settings)
    until(lambda: stored(settings).position, "the first position")
    topic = f"{settings.source.name}.{table}.t"
    with mysql.connect(database=table) as connection:
        execute(connection, "INSERT INTO t VALUES (1, 1)")
    until(lambda: len(read_topics(kafka.bootstrap_servers, [topic])) == 1, "the row")
    shown = json.loads(call(settings, "position", "show", "--json").stdout)
    assert shown["position"]["seq"] == str(stored(settings).position.seq)
    assert shown["claim"]["label"]
    nowhere = call(settings, "position", "reset", "--to", "file:nowhere.000099:4")
    assert nowhere.returncode == 2, nowhere.stderr
    with mysql.connect(database=table) as connection:
        execute(connection, "UPDATE t SET n = 5")  # the running one has heard nothing of it
    until(lambda: len(read_topics(kafka.bootstrap_servers, [topic])) == 2, "the change")
    shown = json.loads(call(settings, "position", "show", "--json").stdout)
    done = call(settings, "position", "reset", "--to", "latest", "--json")
    assert done.returncode == 0, done.stderr
    after = json.loads(done.stdout)["position"]
    assert int(after["seq"]) >> 39 > int(shown["position"]["seq"]) >> 39
    assert after["partitions"] == {topic: 3}
    assert running.wait() == 7, running.said
    assert re.search(r"process \d+, position reset", running.said)  # who took over; the hint names the command always
    with mysql.connect(database=table) as connection:
        execute(connection, "INSERT INTO t VALUES (2, 2)")
    again = start(settings)
    until(lambda: len(read_topics(kafka.bootstrap_servers, [topic])) == 3, "the second row")
    assert again.stop() == 0
