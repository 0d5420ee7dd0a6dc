"""Keys whose order, spaces and zeros mislead, rows that are wide, deep and large: from MySQL to the audit's report."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditor.audit import audit
from auditor.repair import repair
from auditor.run_context import Context
from cdc.source.native import MISSING
from ops.config import load
from oracle import differences
from runner import Pipeline, until
from schemas.report import AuditReport, AuditStatus
from servers import Elastic, Mysql

pytestmark = pytest.mark.stack

_MIB = 1 << 20
_HAS_NATIVE = pytest.mark.skipif(bool(MISSING), reason="the native engine is not installed")
#: That both give the same bytes is shown elsewhere.
_ENGINES = pytest.mark.parametrize(
    "engine", [pytest.param("native", marks=_HAS_NATIVE), pytest.param("portable", marks=pytest.mark.soak)]
)
_WIDE = [f"c{number}" for number in range(1016)]
_SCHEMA = (
    # MySQL puts a before B before c; bytes put B first.
    "CREATE TABLE words (k VARCHAR(20) COLLATE utf8mb4_0900_ai_ci PRIMARY KEY, v INT)",
    "CREATE TABLE padded (k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT)",
    "CREATE TABLE unpadded (k VARCHAR(20) COLLATE utf8mb4_0900_ai_ci PRIMARY KEY, v VARCHAR(9))",
    "CREATE TABLE fixed (k CHAR(10) COLLATE utf8mb4_general_ci, n CHAR(10), v CHAR(9), PRIMARY KEY (k, n))",
    "CREATE TABLE uuids (k BINARY(16) PRIMARY KEY, v VARBINARY(9), b BINARY(4))",
    "CREATE TABLE documents (id INT PRIMARY KEY, doc JSON)",
    f"CREATE TABLE wide (id INT PRIMARY KEY, {', '.join(f'{name} SMALLINT UNSIGNED' for name in _WIDE)})",
    "CREATE TABLE long_rows (id INT PRIMARY KEY, doc VARCHAR(16380) CHARACTER SET utf8mb4)",
    "CREATE TABLE blobs (id INT PRIMARY KEY, doc LONGBLOB, n INT)",
)
TABLES = tuple(re.findall(r"CREATE TABLE (\w+)", " ".join(_SCHEMA)))


@pytest.fixture
def pipeline(make_pipeline: Callable[..., Pipeline], mysql: Mysql, database: str) -> Pipeline:
    with mysql.connect(database=database) as connection, connection.cursor() as cursor:
        for statement in _SCHEMA:
            cursor.execute(statement)
    limits = {"max_repair_share": 1.0, "max_requests_per_s": 500, "wait_s": 60, "leaf_keys": 4}
    made = make_pipeline("awkward", cdc={"tables": [f"{database}.*"]}, audit=limits)
    made.start("cdc", "sink")
    return made


def write(cursor: Any) -> None:
    rng = random.Random(4)
    letters = "aAbBcCzZ~_ é"
    words = {"".join(rng.choices(letters, k=rng.randrange(1, 6))) for _ in range(200)} | {"a", "B", "c", "Z"}
    cursor.executemany("INSERT IGNORE INTO words VALUES (%s, 1)", [(word,) for word in sorted(words)])
    cursor.execute("UPDATE words SET k = UPPER(k) WHERE k < 'b'")
    cursor.execute("DELETE FROM words WHERE k BETWEEN 'z' AND 'zz'")
    cursor.executemany("INSERT INTO padded VALUES (%s, 1)", [("a ",), ("b",), ("c  ",), ("",)])
    cursor.execute("UPDATE padded SET k = 'a' WHERE k = 'a'")
    cursor.execute("UPDATE padded SET k = 'b   ', v = 2 WHERE k = 'b '")
    cursor.executemany("INSERT INTO unpadded VALUES (%s, ' v ')", [("a",), ("a ",), ("a  ",), (" ",), ("",)])
    cursor.execute("UPDATE unpadded SET k = 'b ' WHERE k = 'a  '")
    cursor.execute("DELETE FROM unpadded WHERE k = 'a'")
    cursor.executemany("INSERT INTO fixed VALUES (%s, %s, 'v  ')", [("a ", "x "), ("a", " x"), (" ", "")])
    cursor.execute("UPDATE fixed SET n = 'y   ' WHERE n = ' x'")
    uuids = [bytes(16), b"\1" + bytes(15), bytes(15) + b"\1", b"0123456789abcde\0", b"0123456789abc\0\0\0", b" " * 16]
    cursor.executemany("INSERT INTO uuids VALUES (%s, %s, %s)", [(key, b"v\0", b"b") for key in uuids])
    cursor.execute("UPDATE uuids SET v = x'00' WHERE k = %s", (uuids[3],))
    cursor.execute("DELETE FROM uuids WHERE k = %s", (uuids[4],))
    documents = [{f"k{number}": number for number in range(65_000)}]
    documents += [{f"{row}-{number}": {"é.": [number]} for number in range(100)} for row in range(20)]
    cursor.executemany("INSERT INTO documents VALUES (%s, %s)", [(n, json.dumps(d)) for n, d in enumerate(documents)])
    cursor.execute("UPDATE documents SET doc = JSON_SET(doc, '$.k5', 'five') WHERE id = 0")
    numbers = ", ".join(str(65535 - n) if n % 3 else "NULL" for n in range(len(_WIDE)))
    cursor.execute(f"INSERT INTO wide VALUES (1, {numbers})")
    cursor.execute("UPDATE wide SET c1015 = 7, c0 = 0")
    cursor.execute("INSERT INTO long_rows VALUES (1, REPEAT('😀', 16380))")
    cursor.execute("UPDATE long_rows SET doc = REVERSE(CONCAT('x', SUBSTRING(doc, 2)))")
    cursor.execute("INSERT INTO blobs VALUES (1, REPEAT(x'00ff61', 1000000), 1)")


def by_class(report: AuditReport) -> dict[str, set[str]]:
    made: dict[str, set[str]] = {}
    for finding in report.findings():
        made.setdefault(finding.class_.value, set()).add(finding.document)
    return made


@_ENGINES
def test_they_are_in_the_index_and_the_audit_sees_each_of_them(
    pipeline: Pipeline, mysql: Mysql, elastic: Elastic, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mysql.connect(database=database) as connection, connection.cursor() as cursor:
        write(cursor)
        pipeline.await_equal(database, TABLES)
        cursor.execute("SELECT k FROM words ORDER BY k")
        words = [key for (key,) in cursor.fetchall()][3:90:9]
        assert sorted(words) != words
    monkeypatch.setenv("XDG_STATE_HOME", str(pipeline.folder))
    context = Context(settings=load(pipeline.config).settings)
    clean = audit(context)
    assert (clean.status, by_class(clean)) == (AuditStatus.CLEAN, {})
    gone = {"words": words, "padded": ["b   "], "unpadded": ["a "], "fixed": ['["a","y"]']}
    gone |= {"uuids": ["MDEyMzQ1Njc4OWFiY2RlAA==", "A" * 22 + "=="], "documents": ["0"], "wide": ["1"]}
    client = elastic.client()
    for table, keys in gone.items():
        for key in keys:
            client.delete(index=pipeline.alias(database, table), id=key)
    report = audit(context)
    assert by_class(report) == {"missing": {f"{database}.{name}/{key}" for name, keys in gone.items() for key in keys}}
    assert repair(context, report, apply=True).status is AuditStatus.CLEAN
    pipeline.await_equal(database, TABLES)
    client.close()


@_ENGINES
@pytest.mark.parametrize("size_mib", [20, pytest.param(100, marks=pytest.mark.soak)])
def test_a_blob_that_no_event_can_carry_is_left_out_by_name(
    pipeline: Pipeline, mysql: Mysql, elastic: Elastic, database: str, engine: str, size_mib: int
) -> None:
    with mysql.connect(database=database) as connection, connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO blobs VALUES (1, REPEAT('x', {size_mib * _MIB}), 1), (2, 'small', 2)")
        client, alias = elastic.client(), pipeline.alias(database, "blobs")

        def lacking() -> list[str]:
            pipeline.check()
            return differences(connection, client, database, "blobs", alias)

        found = until(lambda: [line for line in [lacking()] if len(line) == 1], "all but the blob", 60)
        assert found[0][0].startswith("blobs/1.doc: ")
        assert found[0][0].endswith(", None in the index")
        client.close()
    status = Path(f"/proc/{pipeline.running('cdc').process.pid}/status").read_text(encoding="ascii")
    copies = 4 if engine == "native" else 8
    assert int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) < (150 + copies * size_mib) * 1024
    assert f"{database}.blobs" in pipeline.log("cdc")
