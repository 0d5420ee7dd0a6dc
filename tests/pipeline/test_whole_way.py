"""From MySQL's binlog to the index: every kind of change, and keys that break careless code."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engines import on_native
from oracle import documents
from runner import Pipeline, until
from servers import Elastic, Mysql
from topic import read_topics

pytestmark = pytest.mark.stack

KEYS = [
    "plain",
    "a/b",
    "a b",
    "ä",
    "日本語",
    "😀",
    "'",
    '"',
    "\\",
    "%2f",
    "_all",
    "..",
    "<now>",
    "a\nb",
    "*",
    "sha256:x",
    "\u00e9",
    "e\u0301",
]

#: Chained key changes in one statement, down and up again (14 is free), and two keys swapped by way of a third.
MOVES = (
    "UPDATE t SET id = id - 1 WHERE id BETWEEN 15 AND 17 ORDER BY id",
    "UPDATE t SET id = id + 1 WHERE id BETWEEN 14 AND 16 ORDER BY id DESC",
    "BEGIN",
    "UPDATE t SET id = -1 WHERE id = 18",
    "UPDATE t SET id = 18 WHERE id = 19",
    "UPDATE t SET id = 19 WHERE id = -1",
    "COMMIT",
)
MOVED = "d15 c14 d16 c15 d17 c16 d16 c17 d15 c16 d14 c15 d18 c-1 d19 c18 d-1 c19"


def in_topic(pipeline: Pipeline, alias: str) -> str:
    """Operation and id of every event in source order, which is also the order of each key in its partition."""
    records = read_topics(pipeline.servers.kafka.bootstrap_servers, [alias])
    events = [record for record in records if record.value is not None and record.value["op"] in "cud"]
    for key in {str(record.key) for record in events}:
        seqs = [record.value["source"]["seq"] for record in events if str(record.key) == key]
        assert seqs == sorted(seqs)
    events.sort(key=lambda record: record.value["source"]["seq"])
    return " ".join(f"{record.value['op']}{record.key['id']}" for record in events)


def test_every_kind_of_change(
    make_pipeline: Callable[..., Pipeline], mysql: Mysql, elastic: Elastic, database: str
) -> None:
    pipeline = make_pipeline("way", cdc={"tables": [f"{database}.*"], "start": "latest", "heartbeat_s": 1})
    connection = mysql.connect(database=database)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(50), n INT)")
    cursor.execute("CREATE TABLE pair (a VARCHAR(30), b VARCHAR(30), v INT, PRIMARY KEY (b, a))")
    cursor.execute(
        "CREATE TABLE named (k VARCHAR(600) COLLATE utf8mb4_bin PRIMARY KEY, `_id` INT, `x.y` INT, `_cdc` INT)"
    )
    cursor.execute("CREATE TABLE `Od.d-Näme` (`K y` INT PRIMARY KEY)")
    cursor.execute("CREATE TABLE at (id INT AUTO_INCREMENT PRIMARY KEY, ts TIMESTAMP(3), dt DATETIME(3))")
    pipeline.start("cdc", "sink")
    cursor.executemany("INSERT INTO t VALUES (%s,%s,%s)", [(n, f"v{n}", None) for n in range(50)])
    cursor.execute("UPDATE t SET v='changed', n=id WHERE id < 20")
    cursor.execute("DELETE FROM t WHERE id BETWEEN 10 AND 14")
    cursor.execute("UPDATE t SET id = id + 1000 WHERE id >= 40")
    cursor.execute("UPDATE t SET id = id + 1 WHERE id BETWEEN 5 AND 9 ORDER BY id DESC")
    for sql in MOVES:
        cursor.execute(sql)
    connection.begin()
    cursor.execute("DELETE FROM t WHERE id = 30")
    cursor.execute("INSERT INTO t VALUES (30, 'again', 1)")
    cursor.execute("DELETE FROM t WHERE id = 31")
    cursor.execute("INSERT INTO t VALUES (31, 'gone', 1)")
    cursor.execute("DELETE FROM t WHERE id = 31")
    connection.commit()
    cursor.executemany(
        "INSERT INTO pair VALUES (%s,%s,1)", [("a|b", "c"), ("a", "b|c"), ("", ""), ('a","b', "c"), ("A", "c")]
    )
    cursor.executemany("INSERT INTO named VALUES (%s,1,2,3)", [(key,) for key in KEYS])
    cursor.execute("INSERT INTO `Od.d-Näme` VALUES (1)")
    for zone in ("+05:30", "-11:00"):
        cursor.execute("SET time_zone = %s", (zone,))
        cursor.execute("INSERT INTO at (ts, dt) VALUES ('2026-03-29 02:30:00.123', '2026-03-29 02:30:00.123')")
    cursor.execute("SET time_zone = '+00:00'")
    pipeline.await_equal(database, ("t", "pair", "named", "at"))
    assert MOVED in in_topic(pipeline, pipeline.alias(database, "t"))
    client = elastic.client()
    odd = f"{pipeline.name}.{database}.-4fd-2ed-2d-4e-c3-a4me"
    assert list(until(lambda: documents(client, odd), "the oddly named table")) == ["1"]
    shown = documents(client, pipeline.alias(database, "named"))["plain"]
    assert (shown["__id"], shown["x%2Ey"], shown["__cdc"]) == (1, 2, 3)

    cursor.executemany("INSERT INTO named VALUES (%s,1,2,3)", [("",), ("k" * 513,), ("ü" * 300,)])
    pipeline.await_equal(database, ("named",))
    assert sum(name.startswith("sha256:") for name in documents(client, pipeline.alias(database, "named"))) == 4
    cursor.execute("DELETE FROM named WHERE k IN ('', %s)", ("k" * 513,))
    cursor.execute("UPDATE named SET k='A' WHERE k='plain'")
    cursor.execute("UPDATE named SET k='a' WHERE k='A'")
    pipeline.await_equal(database, ("named",))

    cursor.execute("TRUNCATE TABLE pair")
    cursor.execute("INSERT INTO pair VALUES ('after', 'truncate', 1)")
    pipeline.await_equal(database, ("t", "pair"))
    cursor.execute("DROP TABLE t")
    until(lambda: not documents(client, pipeline.alias(database, "t")), "the dropped table's documents to go")
    assert pipeline.stop("cdc") == 0
    assert pipeline.stop("sink") == 0


@on_native
def test_sakila(make_pipeline: Callable[..., Pipeline], mysql: Mysql) -> None:
    folder = os.environ.get("TIDEMARK_SAKILA")
    if not folder:
        pytest.skip("TIDEMARK_SAKILA does not name the folder of MySQL's sample database")
    pipeline = make_pipeline("sakila", cdc={"tables": ["sakila.*"], "start": "latest", "allow_empty": True})
    connection = mysql.connect()
    cursor = connection.cursor()
    cursor.execute("DROP DATABASE IF EXISTS sakila")
    pipeline.start("cdc", "sink")
    for name in ("schema.sql", "data.sql"):
        for statement in statements(Path(folder, name).read_text(encoding="utf-8")):
            cursor.execute(statement)
    cursor.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema='sakila' AND table_type='BASE TABLE'"
    )
    tables = tuple(name for (name,) in cursor.fetchall())
    assert len(tables) == 16
    pipeline.await_equal("sakila", tables, timeout_s=300)
    cursor.execute("UPDATE sakila.city SET city_id = city_id + 1000 WHERE city_id < 20")  # cascades to address
    cursor.execute("DELETE FROM sakila.payment WHERE payment_id % 7 = 0")
    pipeline.await_equal("sakila", tables)
    assert [pipeline.stop("cdc"), pipeline.stop("sink")] == [0, 0]
    cursor.execute("DROP DATABASE sakila")


def statements(text: str) -> list[str]:
    """The statements of a dump, split as the mysql client splits them."""
    found, current, end = [], [], ";"
    for line in text.splitlines():
        if line.upper().startswith("DELIMITER "):
            end = line.split()[1]
        elif not current and (not line.strip() or line.startswith("--")):
            continue
        elif line.rstrip().endswith(end):
            found.append("\n".join([*current, line.rstrip().removesuffix(end)]))
            current = []
        else:
            current.append(line)
    return found


def test_statements_are_split() -> None:
    assert statements("-- x\nA;\nDELIMITER //\nB;\nC//\nDELIMITER ;\nD\n;") == ["A", "B;\nC", "D\n"]
