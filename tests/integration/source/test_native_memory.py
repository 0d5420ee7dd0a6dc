"""A transaction of two million rows goes through flat memory, in batches that can be resumed from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from source_reader import SourceReader

pytestmark = [pytest.mark.stack, pytest.mark.timeout(280)]

_ROWS = 2_000_000
_LIMIT_MB = 200  # of the reading process, interpreter and libraries included

# Prints, for each batch: records, whether the transaction is open; at the end the peak of memory in KiB.
_READER = """
import json, re, sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import orjson
from source_reader import TestRouter
from cdc.runs import runs
from cdc.source.native import NativeSource
from cdc.source.options import Limits, SourceOptions
from schemas.position import Position
asked = json.loads(sys.argv[3])
source = NativeSource(SourceOptions(connect=asked["connect"], name="src", router=TestRouter(db=asked["db"]), known={},
    server_id=asked["server_id"], heartbeat_s=0.5, read_timeout_s=30,
    limits=Limits(batch_events=20000, event_bytes=8 << 20)))
rows = batches = opened = 0
for batch in source.batches(Position.from_json(asked["position"])):
    for run in runs(batch.records):
        pass
    rows, batches, opened = rows + batch.rows, batches + 1, opened + (batch.position.open is not None)
    if rows >= asked["rows"]:
        break
source.close()
# getrusage would tell of the test process too, from before the exec.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
print(json.dumps({"rows": rows, "batches": batches, "open": opened, "peak_mb": peak // 1024}))
"""


@pytest.fixture
def engine(native: str) -> str:
    return native


def test_two_million_rows_in_one_transaction(reader: SourceReader) -> None:
    reader.sql("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(40), b DATETIME(3))")
    reader.start = reader.here()
    thousand = "WITH RECURSIVE r(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM r WHERE n < 999) SELECT n FROM r"
    reader.sql(
        f"CREATE TEMPORARY TABLE k AS {thousand}",
        f"CREATE TEMPORARY TABLE k2 AS {thousand}",
        "BEGIN",
        "INSERT INTO t SELECT a.n * 1000 + b.n, 'a row of the usual length', NOW(3) FROM k a, k2 b",
        f"INSERT INTO t SELECT {_ROWS // 2} + a.n * 1000 + b.n, 'a row of the usual length', NOW(3) FROM k a, k2 b",
        "COMMIT",
    )
    mysql = reader.mysql
    asked = {
        "connect": {"host": mysql.host, "port": mysql.port, "user": mysql.user, "password": mysql.password},
        "db": reader.db,
        "server_id": reader.server_id,
        "position": reader.start.to_json(),
        "rows": _ROWS,
    }
    tests = Path(__file__).parents[2]
    command = [sys.executable, "-c", _READER, str(tests), str(tests.parent), orjson.dumps(asked).decode()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    found = orjson.loads(done.stdout)
    assert found["rows"] == _ROWS
    assert found["open"] >= _ROWS // 20_000 - 1
    assert found["peak_mb"] < _LIMIT_MB, found
