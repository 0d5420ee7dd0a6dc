"""How fast an engine decodes: rows a second from a real server's binlog, without Kafka.

    python bench/decode.py mysql://user:password@host:port --rows 400000 --per-transaction 500

It writes a backlog into a database of its own and reads it, several times: filtered out (what reading alone costs),
decoded, and decoded with the Python objects that `produce_batch` takes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pymysql

from cdc.runs import runs
from cdc.source.engine import open_source
from cdc.source.options import Limits, SourceOptions
from schemas.position import GtidSet, Position

_TABLE = """CREATE TABLE rows10 (
  id BIGINT UNSIGNED PRIMARY KEY, customer INT NOT NULL, status ENUM('new','paid','sent') NOT NULL,
  amount DECIMAL(12,2) NOT NULL, currency CHAR(3) NOT NULL, name VARCHAR(80) NOT NULL, note VARCHAR(200),
  ratio DOUBLE, created DATETIME(3) NOT NULL, updated TIMESTAMP(6) NOT NULL)"""
_ROW = (
    "({id},{customer},'paid',{customer}.99,'EUR','Customer number {id} of many','Zürich, a note of the usual length',"
    "0.{id},'2026-11-21 10:26:57.231','2026-11-21 10:26:57.231987')"
)


class Router:
    """Captures one database, or nothing."""

    def __init__(self, db: str) -> None:
        self._db = db

    def wants(self, db: str, table: str) -> bool:
        return self.captures(db, table)

    def captures(self, db: str, _table: str) -> bool:
        return db == self._db

    def topic(self, db: str, table: str) -> str:
        return f"bench.{db}.{table}"

    def partitions(self, _topic: str) -> int:
        return 6


@contextmanager
def database(connection: Any, name: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        cursor.execute(f"USE {name}")
        try:
            yield
        finally:
            cursor.execute(f"DROP DATABASE {name}")


def here(connection: Any) -> Position:
    with connection.cursor() as cursor:
        cursor.execute("SHOW BINARY LOG STATUS")
        file, pos, *_ = cursor.fetchone()
        cursor.execute("SELECT @@gtid_executed, @@server_uuid")
        gtids, uuid = cursor.fetchone()
    return Position(gtid_set=gtids.replace("\n", ""), file=file, pos=pos, server_uuid=uuid, seq=1024)


def write(connection: Any, rows: int, per_transaction: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_TABLE)
        cursor.execute("SET time_zone = '+00:00'")
        for first in range(1, rows + 1, per_transaction):
            last = min(first + per_transaction, rows + 1)
            values = ",".join(_ROW.format(id=number, customer=number % 9973) for number in range(first, last))
            cursor.execute(f"INSERT INTO rows10 VALUES {values}")


def measure(options: argparse.Namespace, start: Position, end: Position, *, db: str, objects: bool) -> dict[str, Any]:
    url = urlsplit(options.mysql)
    settings = SourceOptions(
        connect={"host": url.hostname, "port": url.port, "user": url.username, "password": url.password},
        name="bench",
        router=Router(db),
        known={},
        server_id=77_000_000 + os.getpid(),
        heartbeat_s=0.5,
        read_timeout_s=10,
        limits=Limits(batch_events=options.batch_events, event_bytes=8 << 20),
    )
    source = open_source(options.engine, settings)
    goal, rows, size = GtidSet(end.gtid_set), 0, 0
    began, cpu = time.perf_counter(), time.process_time()
    for batch in source.batches(start):
        rows += batch.rows
        size += batch.size_bytes
        if objects:
            for _run in runs(batch.records):
                pass
        if GtidSet(batch.position.gtid_set).covers(goal):
            break
    took, used = time.perf_counter() - began, time.process_time() - cpu
    source.close()
    return {
        "rows": rows,
        "rows_per_s": round(rows / took),
        "seconds": round(took, 3),
        "cpu_us_per_row": round(used * 1e6 / max(1, options.rows), 2),
        "event_mb": round(size / 1e6, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mysql", help="mysql://user:password@host:port")
    parser.add_argument("--engine", choices=("native", "portable"), default="native")
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--per-transaction", type=int, default=500)
    parser.add_argument("--batch-events", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    url = urlsplit(options.mysql)
    connection = pymysql.connect(
        host=url.hostname, port=url.port, user=url.username, password=url.password, autocommit=True
    )
    name = f"bench_decode_{os.getpid()}"
    with database(connection, name):
        start = here(connection)
        write(connection, options.rows, options.per_transaction)
        end = here(connection)
        for what, db, objects in (("filtered", "", False), ("decoded", name, False), ("with objects", name, True)):
            for _ in range(options.repeat):
                found = measure(options, start, end, db=db, objects=objects)
                print(json.dumps({"what": what, **found}), flush=True)  # noqa: T201  a benchmark's result
    print(json.dumps({"peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))  # noqa: T201


if __name__ == "__main__":
    main()
