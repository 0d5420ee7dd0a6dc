"""What is large goes through a small cdc: transactions of any length, and blobs."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pymysql
import pytest

from cdc.position_store import Stored
from cdc_process import Cdc, execute
from committed import committed_values
from ops.settings import Settings
from runner import until
from schemas.position import GtidSet
from servers import Mysql

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

SMALL = {"max_batch_events": 5000}  # so that a transaction of MySQL is many of Kafka's
_LIMIT_MB = 400
_BLOB_BYTES = 64 << 20
_BLOB_LIMIT_MB = 350  # three of them as text; the client and the decoder never hold more at once


def peak_mb(process: Cdc) -> int:
    status = Path(f"/proc/{process.process.pid}/status").read_text(encoding="utf-8")
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) // 1024


def executed(connection: pymysql.connections.Connection) -> GtidSet:
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@gtid_executed")
        ((text,),) = cursor.fetchall()
    return GtidSet(text)


def has_passed(stored: Stored, written: GtidSet) -> bool:
    return stored.position is not None and GtidSet(stored.position.gtid_set).covers(written)


def test_blobs_of_64_mb(cdc_settings: Callable[..., Settings], start, stored, mysql: Mysql, table: str) -> None:
    settings = cdc_settings(kafka={"partitions": 1, "max_event_bytes": 128 << 20})
    with mysql.connect(database=table) as connection:
        execute(connection, "CREATE TABLE large (id INT PRIMARY KEY, doc LONGBLOB)")
        process = start(settings)
        until(lambda: stored(settings).position, "the first position")
        before = peak_mb(process)
        kib = _BLOB_BYTES >> 10
        execute(
            connection,
            f"SET SESSION group_concat_max_len = {_BLOB_BYTES + 1}, cte_max_recursion_depth = {kib}",
            # bytes that nothing compresses
            f"INSERT INTO large WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < {kib}) "
            "SELECT 1, GROUP_CONCAT(RANDOM_BYTES(1024) SEPARATOR '') FROM r",
            *(f"INSERT INTO large SELECT {number}, doc FROM large WHERE id = 1" for number in (2, 3)),
            "INSERT INTO large VALUES (4, 'end')",
        )
        with connection.cursor() as cursor:
            cursor.execute("SELECT SHA2(doc, 256) FROM large WHERE id = 1")
            ((digest,),) = cursor.fetchall()
        written = executed(connection)
    topic = f"{settings.source.name}.{table}.large"
    until(lambda: has_passed(stored(settings), written), "the last row", 240)
    peak = peak_mb(process)
    assert process.stop() == 0
    events = committed_values(settings.kafka.bootstrap_servers, topic)
    assert [event["after"]["id"] for event in events] == [1, 2, 3, 4]
    documents = [base64.b64decode(event["after"]["doc"]) for event in events[:3]]
    assert {hashlib.sha256(document).hexdigest() for document in documents} == {digest}
    assert peak < _BLOB_LIMIT_MB, f"{before} MB before"


def test_one_transaction_of_many_rows(cdc_settings, start, stored, mysql: Mysql, table: str) -> None:
    many_rows(cdc_settings(cdc=SMALL), start, stored, mysql, table, rows=150_000)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_one_transaction_of_two_million_rows(cdc_settings, start, stored, mysql: Mysql, table: str) -> None:
    many_rows(cdc_settings(cdc=SMALL), start, stored, mysql, table, rows=2_000_000)


def many_rows(settings: Settings, start, stored, mysql: Mysql, table: str, *, rows: int) -> None:
    """Kills cdc again and again in the middle; every row is there once, and in order."""
    first = start(settings)
    until(lambda: stored(settings).position, "the first position")
    assert first.stop() == 0
    with mysql.connect(database=table) as connection:
        execute(
            connection,
            "CREATE TABLE many (id INT PRIMARY KEY, a VARCHAR(40), b DATETIME(3))",
            "SET SESSION cte_max_recursion_depth = 10000000",
            f"INSERT INTO many WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < {rows}) "
            "SELECT n, 'a row of the usual length', NOW(3) FROM r",
        )
        written = executed(connection)
    left_open = []
    for hit in (8, 13, 5, 10):
        # A batch's three partitions are a hit each; but on a slow machine batches are small, many of them in a commit.
        killed = start(settings, {"TIDEMARK_CRASH": f"mid_transaction:kill9@{hit * (rows // 150_000)}"})
        assert killed.wait(240) == -9, killed.said
        left_open.append(stored(settings).position.open is not None)
    assert any(left_open)
    last = start(settings)
    until(lambda: has_passed(stored(settings), written), "the transaction's end", 240 + rows / 2000)
    peak = peak_mb(last)
    assert last.stop() == 0
    events = committed_values(settings.kafka.bootstrap_servers, f"{settings.source.name}.{table}.many")
    assert [event["after"]["id"] for event in events] == list(range(1, rows + 1))
    assert [event["transaction"]["total_order"] for event in events] == list(range(1, rows + 1))
    assert peak < _LIMIT_MB, peak
