"""MySQL beside its index: values of every type, keys of every kind, harm, live writes; what was done is reported."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from auditor import mysql_table
from auditor.against import against_mysql
from auditor.dead_letters import DeadLetters
from auditor.mysql_server import MysqlServer
from auditor.page import TooLargeError, in_parts
from auditor.run_context import Context
from ops.config import load
from ops.settings import Settings
from oracle import documents
from runner import Pipeline, until
from schemas.report import AuditReport, AuditStatus
from servers import Elastic, Mysql
from type_cases import CASES

pytestmark = pytest.mark.stack

#: Types of the key's columns, and rows.
_KEYS: dict[str, tuple[list[str], list[str]]] = {
    "k_text": (
        ["VARCHAR(700) COLLATE utf8mb4_0900_ai_ci"],
        ["''", "'b'", "'É'", "'a '", "'\U0001f600'", "'\uff46'", "REPEAT('x', 600)", "'sha256:x'", "'\\\\'", "'\"'"],
    ),
    "k_cp932": (["VARCHAR(50) CHARACTER SET cp932"], ["'ソ'", "'a'", "'表'"]),
    "k_bytes": (
        ["BINARY(4)", "BIGINT UNSIGNED", "VARCHAR(9) COLLATE utf8mb4_bin"],
        [
            "x'00', 0, 'a'",
            "x'00', 0, 'A'",
            "x'ff00', 18446744073709551615, 'e\u0301'",
            "x'5c27', 9007199254740993, 'é'",
        ],
    ),
    "k_enum": (["ENUM('z','b','ä')", "INT"], ["'b', 1", "'z', 2", "'ä', -3", "'z', 1"]),
    "k_moment": (
        ["DATETIME(3)", "DATE", "TIMESTAMP"],
        ["'2026-11-21 10:00:00.25', '2024-02-29', '2026-01-01'", "0, 0, 0", "0, '2024-00-15', '2026-01-02'"],
    ),
    "k_number": (
        ["DECIMAL(9,3)", "DOUBLE", "BIT(9)", "FLOAT"],
        ["1.5, 0.1, b'1', 0.1", "-1.5, 1e300, b'100000000', 3.14159", "1.5, -0.1, b'1', 0.1", "1.5, 0.1, b'1', 0.2"],
    ),
}
LEFT_OVER = {"_cdc": {"key": "1", "topic_id": "x", "partition": 0, "offset": 0, "seq": 1, "rev": 0, "fp": 0}}
_TOO_LONG = 20_000  # as SQL: what they hold is tested elsewhere


def audited(context: Context) -> AuditReport:
    report = against_mysql(context)
    assert not report.reason, report.reason
    return report


def said(report: AuditReport) -> dict[str, str]:
    return {finding.document: finding.class_.value for finding in report.findings()}


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql_table, "_FIRST", 1)
    monkeypatch.setattr(mysql_table, "_CHUNK", 3)
    monkeypatch.setattr(mysql_table, "_MOST_BYTES", 500)  # less than some rows have


def fill(cursor: Any) -> list[str]:
    """A table with a column of every type, and tables with keys of every kind; their names."""
    cursor.execute("SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'")
    chosen = {f"c{number}": case for number, case in enumerate(CASES.values())}
    columns = ", ".join(f"{name} {definition} NULL" for name, (definition, *_) in chosen.items())
    cursor.execute(f"CREATE TABLE t (id INT PRIMARY KEY, {columns})")
    values = {name: [v for v in case[2] if len(v) < _TOO_LONG and "65000" not in v] for name, case in chosen.items()}
    for number in range(max(map(len, values.values())) + 1):
        row = [texts[number] if number < len(texts) else "NULL" for texts in values.values()]
        cursor.execute(f"INSERT INTO t VALUES ({number}, {', '.join(row)})")
    for name, (types, rows) in _KEYS.items():
        letters = "abcd"[: len(types)]
        columns = ", ".join(f"{letter} {kind}" for letter, kind in zip(letters, types, strict=True))
        cursor.execute(f"CREATE TABLE {name} ({columns}, v INT, PRIMARY KEY ({', '.join(letters)}))")
        cursor.execute(f"INSERT INTO {name} ({', '.join(letters)}) VALUES " + ", ".join(f"({row})" for row in rows))
    return ["t", *_KEYS]


def harm(client: Any, pipeline: Pipeline, database: str, rng: random.Random) -> dict[str, str]:
    """Document -> class: some removed, some changed in one field, some added."""
    done = {}
    for table in ("t", "k_text", "k_enum"):
        alias, name = pipeline.alias(database, table), f"{database}.{table}"
        client.indices.refresh(index=alias)
        hits = client.search(index=alias, size=100, version=True)["hits"]["hits"]
        gone, *rest = rng.sample(hits, min(len(hits), 12))
        client.delete(index=alias, id=gone["_id"])
        done[f"{name}/{gone['_id']}"] = "missing"
        for hit in rest if table == "t" else ():
            source = hit["_source"]
            filled = [name for name, value in source.items() if name not in ("_cdc", "id") and value is not None]
            # Some columns hold one value in all rows, some nothing but nulls beside this one.
            others = {
                field: found
                for field in filled or ["c0"]
                if (found := [v for one in hits if (v := one["_source"][field]) not in (None, source[field])])
            }
            field = rng.choice(list(others))
            other = {**source, field: rng.choice(others[field])}
            client.index(
                index=alias, id=hit["_id"], document=other, version=hit["_version"], version_type="external_gte"
            )
            done[f"{name}/{hit['_id']}"] = "content"
        ghost = {**gone["_source"], "_cdc": {**gone["_source"]["_cdc"], "key": "999"}}
        client.index(index=alias, id="999", document=ghost)
        client.index(index=alias, id="nobody", document={"id": 1})
        done |= {f"{name}/999": "foreign" if table == "k_enum" else "orphan", f"{name}/nobody": "foreign"}
    return done


def test_every_type_and_key_and_what_is_wrong_with_them(
    make_pipeline: Callable[..., Pipeline], mysql: Mysql, elastic: Elastic, database: str, small_chunks: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    pipeline = make_pipeline(
        "against",
        cdc={"tables": [f"{database}.*"], "allow_empty": True},
        audit={"max_requests_per_s": 1000, "wait_s": 60},
    )
    monkeypatch.setenv("XDG_STATE_HOME", str(pipeline.folder))
    context = Context(settings=load(pipeline.config).settings)
    connection = mysql.connect(database=database)
    cursor = connection.cursor()
    pipeline.start("cdc", "sink")
    tables = fill(cursor)
    client = elastic.client()
    aliases = [pipeline.alias(database, table) for table in tables]
    until(lambda: all(client.indices.exists(index=alias) for alias in aliases), "the indices")
    report = audited(context)
    assert said(report) == {}, [(one.document, one.differs) for one in report.findings()]
    assert report.status is AuditStatus.CLEAN
    assert {table.table: table.keys for table in report.tables if table.table.endswith("k_text")} == {
        f"{database}.k_text": len(_KEYS["k_text"][1])
    }
    done = harm(client, pipeline, database, random.Random(4))
    assert said(audited(context)) == done
    assert len(tables) == len(report.tables)
    client.close()
    connection.close()


def kill(table: mysql_table.MysqlTable, mysql: Mysql, database: str) -> None:
    """Cut the audit's connection to MySQL."""
    [(number,)] = table._server.ask("SELECT CONNECTION_ID()")
    with mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"KILL {number}")


def alter(table: mysql_table.MysqlTable, mysql: Mysql, database: str) -> None:
    with mysql.connect(database=database) as connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE t ADD COLUMN w INT")


def meddle(patch: pytest.MonkeyPatch, harm: Callable[..., None], *arguments: Any) -> None:
    """Do it after the third chunk."""
    real = mysql_table.MysqlTable.chunks

    def chunks(self: mysql_table.MysqlTable) -> Iterator[list[mysql_table.SqlRow]]:
        for number, rows in enumerate(real(self)):
            if number == 3:
                harm(self, *arguments)
            yield rows

    patch.setattr(mysql_table.MysqlTable, "chunks", chunks)


def heal(context: Context, cursor: Any, client: Any, alias: str) -> None:
    """Refuse a change of rows 4 and 5; then a good one heals row 4, and row 5 is deleted. Their letters stand."""
    cursor.execute("INSERT INTO x VALUES (4, '4', 'x'), (5, '5', 'x')")
    early = client.options(ignore_status=503)  # the index may have been made just now
    until(lambda: early.exists(index=alias, id="4") and early.exists(index=alias, id="5"), "the rows are there")
    before = client.get(index=alias, id="5")
    cursor.execute("UPDATE x SET v = 'no number' WHERE id IN (4, 5)")
    with closing(DeadLetters(context, alias, alias)) as letters:

        def stand() -> bool:
            letters.read_on()
            return bool(letters.newest("4") and letters.newest("5"))

        until(stand, "the letters of rows 4 and 5")
    cursor.execute("UPDATE x SET v = '8' WHERE id = 4")
    cursor.execute("DELETE FROM x WHERE id = 5")
    until(lambda: client.get(index=alias, id="4")["_source"]["v"] == "8", "row 4 is healed")
    until(lambda: not client.exists(index=alias, id="5"), "row 5 is deleted")
    client.delete(index=alias, id="4")  # both are lost
    client.index(index=alias, id="5", document=before["_source"])


def test_live_writes_are_no_findings(
    make_pipeline: Callable[..., Pipeline], mysql: Mysql, elastic: Elastic, database: str, small_chunks: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    pipeline = make_pipeline(
        "live", cdc={"tables": [f"{database}.*"], "allow_empty": True},
        audit={"max_requests_per_s": 1000, "wait_s": 60},
        kafka={"max_event_bytes": 200_000}, sink={"tables": {f"{database}.x": {"fields": {"type": {"v": "long"}}}}},
    )  # fmt: skip
    context = Context(settings=load(pipeline.config).settings)
    connection = mysql.connect(database=database)
    cursor = connection.cursor()
    pipeline.start("cdc", "sink")
    cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))")
    cursor.executemany("INSERT INTO t VALUES (%s, 'first')", [(n,) for n in range(60)])
    cursor.execute("CREATE TABLE x (id INT PRIMARY KEY, v VARCHAR(20), big LONGTEXT)")
    cursor.execute("INSERT INTO x VALUES (1, '5', 'x'), (2, 'no number', 'x'), (3, '6', REPEAT('x', 500000))")
    pipeline.await_equal(database, ("t",))
    client = elastic.client()
    heal(context, cursor, client, pipeline.alias(database, "x"))
    stop = threading.Event()

    def write() -> None:
        writer = mysql.connect(database=database)
        number = 0
        with writer.cursor() as live:
            while not stop.wait(0.002):
                number += 1
                live.execute("UPDATE t SET v = %s WHERE id = %s", (str(number), number % 30))
                live.execute("DELETE FROM t WHERE id = %s", (30 + number % 10,))
                live.execute("INSERT INTO t VALUES (%s, 'back')", (30 + number % 10,))
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    harmed = {f"{database}.x/2": "dead_lettered", f"{database}.x/4": "missing", f"{database}.x/5": "orphan"}
    try:
        client.delete(index=pipeline.alias(database, "t"), id="55")
        assert said(audited(context)) == {f"{database}.t/55": "missing", **harmed}
    finally:
        stop.set()
        thread.join(60)
    for harm, word in ((kill, "MySQL"), (alter, "was altered")):
        with monkeypatch.context() as patch:
            meddle(patch, harm, mysql, database)
            report = against_mysql(context)
        assert (report.status, said(report)) == (AuditStatus.FINDINGS, harmed)
        assert word in report.tables[0].reason
    cursor.execute("DROP TABLE x")
    until(lambda: not documents(client, pipeline.alias(database, "x")), "the dropped table's documents to go")
    client.index(index=pipeline.alias(database, "x"), id="1", document=LEFT_OVER, refresh=True)
    report = against_mysql(context)
    assert said(report) == {f"{database}.t/55": "missing", f"{database}.x/1": "orphan"}
    assert not report.reason
    pipeline.kill("cdc")
    pipeline.stop("sink")
    cursor.execute("UPDATE t SET v = 'later' WHERE id = 50")
    impatient = context.settings.model_copy(update={"audit": context.settings.audit.model_copy(update={"wait_s": 1})})
    report = against_mysql(Context(settings=impatient))
    assert (report.status, said(report)) == (AuditStatus.INCONCLUSIVE, {})
    client.close()
    connection.close()


def test_rows_that_grow_along_the_key_are_read_in_bounded_pieces(
    make_settings: Callable[..., Settings], mysql: Mysql, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_table, "_CHUNK_BYTES", 1 << 18)
    monkeypatch.setattr(mysql_table, "_MOST_BYTES", 1 << 20)
    with mysql.connect(database=database) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT)")
        cursor.execute("INSERT INTO t VALUES " + ", ".join(f"({n}, 'x')" for n in range(900)))
        cursor.execute("INSERT INTO t VALUES " + ", ".join(f"({n}, REPEAT('y', 150000))" for n in range(900, 960)))
        cursor.execute("INSERT INTO t VALUES (960, REPEAT('z', 2000000)), (961, 'x')")
    with closing(MysqlServer(Context(settings=make_settings("grow")))) as server:
        table = mysql_table.MysqlTable(server, database, "t", ["id", "v"])
        chunks = list(table.chunks())
        assert [int(row.id) for rows in chunks for row in rows] == list(range(962))
        sizes = [sum(len(row.values["v"]) for row in rows) for rows in chunks]
        assert max(sizes) < 3_200_000  # a row may be as large as it likes
        assert sum(size > 1_200_000 for size in sizes) == 1
        keys = [(str(n), [n]) for n in range(890, 962)]
        with pytest.raises(TooLargeError):
            table.by_keys(keys)
        found = [row.id for row in in_parts(keys, lambda some: table.by_keys(some).values())]
        assert found == [id_ for id_, _ in keys]
