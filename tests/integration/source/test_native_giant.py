"""A transaction of 5 GiB, as a nightly job writes it: positions pass 4 GiB, where those in the events begin anew."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pymysql
import pytest

from cdc.server import Server
from cdc.start import first_position
from reading_process import read_apart
from schemas.position import GtidSet, Position
from source_reader import SourceReader
from stack.mysql import MysqlServer

pytestmark = [pytest.mark.stack, pytest.mark.soak, pytest.mark.timeout(3600)]

_WRAP = 1 << 32
_ROWS, _ROUNDS = 256, 10  # 1 MiB a row, before and after: 512 MiB a round
_DISK_BYTES = 20 << 30  # the binlog's cache, the binlog, and room
_LIMIT_MB = 300
_TIMEOUT_S = 900


class _Place:
    """Looks like the fixture `mysql`."""

    def __init__(self, server: MysqlServer) -> None:
        self.host, self.port = "127.0.0.1", server.port
        self.user, self.password = server.root.user, server.root.password

    def connect(self, **overrides: Any) -> Any:
        place = {"host": self.host, "port": self.port, "user": self.user, "password": self.password}
        return pymysql.connect(**{**place, "autocommit": True, "read_timeout": _TIMEOUT_S, **overrides})


@pytest.fixture
def giant(tmp_path: Path, native: str) -> Iterator[SourceReader]:
    """A reader of a server that has just committed it."""
    if shutil.disk_usage(tmp_path).free < _DISK_BYTES:
        pytest.skip("20 GiB of disk are needed")
    server = MysqlServer(tmp_path / "mysql", args=("--innodb-doublewrite=OFF", "--sync-binlog=0"))
    server.start()
    reader = None
    try:
        place = _Place(server)
        with place.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE d")
        reader = SourceReader(place, "d", 4711, native)
        reader.sql(
            "CREATE TABLE t (id INT PRIMARY KEY, n INT, body LONGTEXT)",
            "SET SESSION cte_max_recursion_depth = 10000",
            "INSERT INTO t WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < "
            f"{_ROWS}) SELECT n, 0, REPEAT('x', 1 << 20) FROM r",
            "FLUSH BINARY LOGS",
        )
        reader.start = reader.here()
        reader.sql("BEGIN", *["UPDATE t SET n = n + 1"] * _ROUNDS, "COMMIT", "INSERT INTO t VALUES (9999, 1, 'after')")
        yield reader
    finally:
        if reader is not None:
            reader.connection.close()
        server.wipe()


def test_a_transaction_of_5_gib(giant: SourceReader) -> None:
    rows = _ROWS * _ROUNDS
    by_file = replace(giant.start, gtid_set="")
    for start in (giant.start, by_file):
        whole = read_apart(giant, start, rows=rows + 1, timeout_s=_TIMEOUT_S)
        print({"by": "GTID" if start.gtid_set else "file", **whole, "position": "", "first": ""})
        assert whole["rows"] == rows + 1
        assert whole["farthest"] > _WRAP + (900 << 20)
        assert whole["peak_mb"] < _LIMIT_MB
        part = read_apart(giant, start, rows=rows * 9 // 10, timeout_s=_TIMEOUT_S)
        assert part["farthest"] > _WRAP
        middle = Position.from_json(part["position"])
        assert middle.open is not None
        rest = read_apart(giant, middle, rows=rows + 1 - part["rows"], timeout_s=_TIMEOUT_S)
        assert part["rows"] + rest["rows"] == rows + 1
        assert rest["first"]["pos"] > _WRAP
    start_past_4_gib(giant)


def start_past_4_gib(giant: SourceReader) -> None:
    """The only such place in a file is the giant's end: the file is closed behind it, by a ROTATE."""
    sizes = {name: size for name, size, *_ in giant.sql("SHOW BINARY LOGS")}
    file = giant.start.file
    rotate_bytes = 19 + 8 + len(file) + 4
    end = sizes[file] - rotate_bytes
    assert end > _WRAP + (900 << 20)
    found = first_position(giant.connection, Server.ask(giant.connection), f"file:{file}:{end}", highest_seq=0)
    ours = GtidSet(giant.start.gtid_set)
    assert GtidSet(found.gtid_set).covers(ours)
    assert found.gtid_set != giant.start.gtid_set  # the giant is in it
    for start in (found, replace(found, gtid_set="")):
        rest = read_apart(giant, start, rows=1, timeout_s=_TIMEOUT_S)
        print({"from": f"{start.file}:{start.pos}", "by": "GTID" if start.gtid_set else "file", **rest})
        assert (rest["rows"], rest["first"]["file"]) == (1, giant.here().file)
