"""From MySQL's binlog to searchable: a backlog that is there before cdc and the sink are started."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from bench import meter
from bench.capture.backlog import backlog
from bench.capture.cases import CASES
from bench.child import Child
from bench.elastic import Elastic
from bench.errors import BenchError
from bench.servers import Servers

_TIMEOUT_S = 1800


def whole(servers: Servers, elastic: Elastic, folder: Path, rows: int) -> dict[str, Any]:
    """Rows a second from the start of both services until a search finds all of them."""
    name = f"whole_{os.urandom(3).hex()}"
    case = next(case for case in CASES if case.name == "multi-row")
    with backlog(servers.mysql, case, rows, name, lambda: None) as found:
        config = folder / f"{name}.toml"
        config.write_text(_toml(servers, elastic, name, f"file:{found.start.file}:{found.start.pos}"), encoding="utf-8")
        command = [sys.executable, "-m", "tidemark"]
        client, alias = elastic.client(), f"{name}.{name}.events"
        began = time.monotonic()
        with (
            Child([*command, "cdc", "run", "-c", str(config)], folder / f"{name}-cdc.log") as cdc,
            Child([*command, "sink", "run", "-c", str(config)], folder / f"{name}-sink.log") as sink,
        ):
            while True:
                counted = client.options(ignore_status=[404, 503]).count(index=alias, ignore_unavailable=True).body
                if counted.get("count", 0) >= rows:
                    break
                for child in (cdc, sink):
                    child.check()
                if time.monotonic() - began > _TIMEOUT_S:
                    raise BenchError(f"too slow: {counted}\n{sink.tail()}")
                time.sleep(0.1)
            took_s = time.monotonic() - began
            cost = {side: meter.cost(child.pid).cpu_s * 1e6 / rows for side, child in (("cdc", cdc), ("sink", sink))}
            for child in (sink, cdc):
                child.stop()
        # Elasticsearch deletes what is named only.
        client.indices.delete(index=[*client.indices.get(index=f"{name}.*", expand_wildcards="all")])
        client.close()
    return {"rows": rows, "per_s": round(rows / took_s), "cpu_us": {side: round(us, 2) for side, us in cost.items()}}


def _toml(servers: Servers, elastic: Elastic, name: str, start: str) -> str:
    mysql = servers.mysql
    tree: dict[str, dict[str, Any]] = {
        "source": {
            "name": name, "host": mysql.host, "port": mysql.port, "user": mysql.user, "password": mysql.password,
            "tls": "off",
        },
        "kafka": {"bootstrap_servers": servers.kafka},
        "elasticsearch": {"urls": [elastic.url]},
        "cdc": {"tables": [f"{name}.events"], "start": start},
        "service": {"cdc_listen": "127.0.0.1:0", "sink_listen": "127.0.0.1:0"},
    }  # fmt: skip
    lines = []
    for section, values in tree.items():
        lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    return "\n".join(lines)
