"""The audit behind the real cdc and sink: exact under live writes, repaired, and overtaken by later changes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from auditor.audit import audit
from auditor.repair import repair
from auditor.run_context import Context
from engines import on_native
from ops.config import load
from runner import Pipeline
from schemas.report import AuditReport, AuditStatus
from servers import Elastic, Mysql

pytestmark = pytest.mark.stack


def by_class(report: AuditReport) -> dict[str, list[str]]:
    made: dict[str, list[str]] = {}
    for finding in report.findings():
        made.setdefault(finding.class_.value, []).append(finding.document)
    return {kind: sorted(documents) for kind, documents in made.items()}


@on_native
def test_harm_is_named_and_mended_while_mysql_is_written_to(
    make_pipeline: Callable[..., Pipeline],
    mysql: Mysql,
    elastic: Elastic,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline = make_pipeline(
        "audited", cdc={"tables": [f"{database}.*"]}, audit={"max_requests_per_s": 500, "wait_s": 60}
    )
    monkeypatch.setenv("XDG_STATE_HOME", str(pipeline.folder))
    context = Context(settings=load(pipeline.config).settings)
    connection = mysql.connect(database=database)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(50))")
    cursor.execute("CREATE TABLE pair (a VARCHAR(30), b INT, v INT, PRIMARY KEY (a, b))")
    cursor.execute("CREATE TABLE emptied (id INT PRIMARY KEY)")
    pipeline.start("cdc", "sink")
    cursor.executemany("INSERT INTO t VALUES (%s, 'first')", [(n,) for n in range(600)])
    cursor.executemany("INSERT INTO pair VALUES (%s, %s, 1)", [(f'"{n},', n) for n in range(50)])
    cursor.executemany("INSERT INTO emptied VALUES (%s)", [(n,) for n in range(20)])
    cursor.execute("UPDATE pair SET b = b + 1000 WHERE b < 5")
    cursor.execute("TRUNCATE emptied")
    pipeline.await_equal(database, ("t", "pair", "emptied"))
    client = elastic.client()
    alias = pipeline.alias(database, "t")
    old = {key: client.get(index=alias, id=key)["_source"] for key in ("20", "21", "30")}
    cursor.execute("UPDATE t SET v = 'second' WHERE id IN (20, 21)")
    cursor.execute("DELETE FROM t WHERE id = 30")
    pipeline.await_equal(database, ("t",))

    stop = threading.Event()

    def write() -> None:
        writer = mysql.connect(database=database)
        number = 0
        with writer.cursor() as live:
            while not stop.wait(0.005):
                number += 1
                key = 400 + number % 100
                live.execute("UPDATE t SET v = %s WHERE id = %s", (str(number), key))
                live.execute("DELETE FROM t WHERE id = %s", (key + 1,))
                live.execute("INSERT INTO t VALUES (%s, 'back')", (key + 1,))
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        quiet = audit(context)
        assert (quiet.status, quiet.reason, by_class(quiet)) == (AuditStatus.CLEAN, "", {})
        for key in ("10", "599"):
            client.delete(index=alias, id=key)
        for key, source in old.items():
            client.index(index=alias, id=key, document=source)
        client.delete(index=pipeline.alias(database, "pair"), id='["\\"7,",7]')
        report = audit(context)
        name = f"{database}.t"
        assert by_class(report) == {
            "missing": sorted([f"{name}/10", f"{name}/599", f'{database}.pair/["\\"7,",7]']),
            "stale": [f"{name}/20", f"{name}/21"],
            "orphan": [f"{name}/30"],
        }
        done = repair(context, report, apply=True)
        assert (done.repaired, done.status) == (6, AuditStatus.CLEAN)
        assert audit(context).status is AuditStatus.CLEAN
    finally:
        stop.set()
        thread.join(60)
    cursor.execute("UPDATE t SET v = 'later' WHERE id IN (10, 20, 21, 599)")
    cursor.execute("INSERT INTO t VALUES (30, 'later')")
    pipeline.await_equal(database, ("t", "pair"))
    assert audit(context).status is AuditStatus.CLEAN
    client.close()
    connection.close()
