"""`tidemark cdc run`, as a user runs it: the native engine, its defaults."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.capture.backlog import Backlog
from bench.child import Child
from bench.servers import Servers


class Tidemark:
    """A fresh source for each run, which begins where the backlog does. `options`: of `[cdc]`."""

    def __init__(self, servers: Servers, folder: Path, options: Mapping[str, Any]) -> None:
        self._servers = servers
        self._folder = folder
        self._options = options
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, backlog: Backlog) -> Child:
        """`name`: the source's."""
        config = self._folder / f"{name}.toml"
        config.write_text("\n".join(_toml(self._tree(name, backlog))), encoding="utf-8")
        return Child([sys.executable, "-m", "tidemark", "cdc", "run", "-c", str(config)], self._folder / f"{name}.log")

    def _tree(self, name: str, backlog: Backlog) -> dict[str, dict[str, Any]]:
        mysql = self._servers.mysql
        where = {"host": mysql.host, "port": mysql.port, "user": mysql.user, "password": mysql.password, "tls": "off"}
        start = f"file:{backlog.start.file}:{backlog.start.pos}"
        return {
            "source": {"name": name, **where},
            "kafka": {"bootstrap_servers": self._servers.kafka},
            "cdc": {"tables": [f"{backlog.db}.*"], "engine": "native", "start": start, **self._options},
            "service": {"cdc_listen": "127.0.0.1:0"},
        }


def _toml(tree: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = []
    for section, values in tree.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return lines
