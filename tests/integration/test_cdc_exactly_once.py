"""kill -9 at every crash point: every row change stands exactly once in the topic for a committed reader."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from cdc.position_store import Instance, PositionStore
from cdc_process import execute
from ops.settings import Settings
from runner import until
from servers import Mysql
from topic import Record, read_topics

pytestmark = pytest.mark.stack
POINTS = ("after_read", "before_publish", "mid_transaction", "before_commit", "after_publish")


@pytest.fixture
def settings(make_settings: Callable[..., Settings], mysql: Mysql, unique: str, database: str) -> Settings:
    with mysql.connect(database=database) as connection:
        execute(
            connection,
            "CREATE TABLE a (id INT PRIMARY KEY, n INT)",
            "CREATE TABLE b (k VARCHAR(20) PRIMARY KEY, n INT)",
        )
    cdc = {"tables": [f"{database}.*"], "max_batch_events": 20, "linger_s": 0.01}
    return make_settings(unique, cdc=cdc)


def write(mysql: Mysql, database: str, rng: random.Random, transactions: int) -> list[tuple[str, str, str]]:
    """Do so many transactions; every row change as (table, op, key)."""
    done: list[tuple[str, str, str]] = []
    present: dict[tuple[str, str], bool] = {}
    with mysql.connect(database=database, autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM a")
        present |= {("a", str(row[0])): True for row in cursor.fetchall()}
        cursor.execute("SELECT k FROM b")
        present |= {("b", row[0]): True for row in cursor.fetchall()}
        for number in range(transactions):
            for _ in range(rng.choice((1, 1, 2, 45))):
                table, key = rng.choice("ab"), str(rng.randrange(30))
                column = "id" if table == "a" else "k"
                there = present.get((table, key), False)
                op = "c" if not there else rng.choice("ud")
                n = number * 1000 + len(done)
                if op == "c":
                    cursor.execute(f"INSERT INTO {table} VALUES (%s, %s)", (key, n))
                elif op == "u":
                    cursor.execute(f"UPDATE {table} SET n = %s WHERE {column} = %s", (n, key))
                else:
                    cursor.execute(f"DELETE FROM {table} WHERE {column} = %s", (key,))
                present[table, key] = op != "d"
                done.append((table, op, key))
            connection.commit()
    return done


def events(settings: Settings, database: str) -> list[Record]:
    names = [f"{settings.source.name}.{database}.{table}" for table in "ab"]
    found = [r for r in read_topics(settings.kafka.bootstrap_servers, names) if r.value is not None]
    return sorted(found, key=lambda record: record.value["source"]["seq"])


def changes(records: list[Record]) -> list[tuple[str, str, str]]:
    return [(r.value["source"]["table"], r.value["op"], str(next(iter(r.key.values())))) for r in records]


def position(settings: Settings):
    return PositionStore(settings, Instance.of_this_process()).read().position


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1])
def test_kill_at_every_crash_point(settings: Settings, mysql: Mysql, database: str, start, seed: int) -> None:
    rng = random.Random(seed)
    first = start(settings)
    until(lambda: position(settings), "the first position")
    assert first.stop() == 0
    wanted = []
    for point in POINTS:
        for hit in (1, 4):
            wanted += write(mysql, database, rng, 12)
            killed = start(settings, {"TIDEMARK_CRASH": f"{point}:kill9@{hit}"})
            assert killed.wait() == -9, killed.said
    last = start(settings)
    until(lambda: len(events(settings, database)) >= len(wanted), "the last event")
    assert last.stop() == 0
    found = events(settings, database)
    assert changes(found) == wanted
    seqs = [record.value["source"]["seq"] for record in found]
    assert seqs == sorted(set(seqs))
    stored = position(settings)
    assert stored.seq == seqs[-1]
    assert stored.open is None
    assert set(stored.partitions.values()) == {3}
