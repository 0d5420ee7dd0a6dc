"""The native engine in a process of its own, so that its memory can be measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from schemas.position import Position
from source_reader import SourceReader

_READER = """
import json, re, sys, time
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
rows = batches = opened = farthest = 0
first = None
began = time.monotonic()
for batch in source.batches(Position.from_json(asked["position"])):
    for run in runs(batch.records):
        pass
    rows, batches, opened = rows + batch.rows, batches + 1, opened + (batch.position.open is not None)
    if batch.records:
        at = orjson.loads(batch.records[-1].value)["source"]
        first, farthest = first or at, max(farthest, at["pos"])
    if rows >= asked["rows"]:
        break
seconds = time.monotonic() - began
source.close()
# getrusage would tell of the test process too, from before the exec.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
print(json.dumps({"rows": rows, "batches": batches, "open": opened, "peak_mb": peak // 1024, "farthest": farthest,
    "seconds": round(seconds, 1), "position": batch.position.to_json(), "first": first}))
"""


def read_apart(reader: SourceReader, since: Position, *, rows: int, timeout_s: float = 200) -> dict[str, Any]:
    """Read so many rows, or a few more, from a position on.

    Gives `rows`, `batches`, `open` (batches that end inside of a transaction), `peak_mb` of the process, `seconds`,
    `position` after the last batch, `farthest` (the highest `source.pos`) and `first` (the first batch's last source).
    """
    mysql = reader.mysql
    asked = {
        "connect": {"host": mysql.host, "port": mysql.port, "user": mysql.user, "password": mysql.password},
        "db": reader.db,
        "server_id": reader.server_id,
        "position": since.to_json(),
        "rows": rows,
    }
    tests = Path(__file__).parent
    command = [sys.executable, "-c", _READER, str(tests), str(tests.parent), json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
