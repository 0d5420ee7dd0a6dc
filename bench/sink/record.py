"""The sink as a user runs it, which keeps its requests: a file for each connection, in `folder`.

Run as `python -m bench.sink.record`.
"""

from __future__ import annotations

import argparse
import threading
from pathlib import Path
from typing import Any
from unittest.mock import patch

from elasticsearch import Elasticsearch

from bench.errors import BenchError
from bench.sink.requests import Request, keep
from sink import settle
from sink.bulk import Reply, send
from sink.commands import run


class Recorder:
    """Sends as the sink does. Every request has to be applied as a whole: none may be in a file twice, or in part."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, client: Elasticsearch, body: bytes, items: int, *, gzip: bool = False) -> Reply:
        reply = send(client, body, items, gzip=gzip)
        if not reply.applied:
            raise BenchError(f"a request was not applied while it was recorded: {reply.failed}")
        keep(self._folder / threading.current_thread().name.replace(" ", "-"), Request(body, items, gzip))
        return reply


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sink.record", description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("folder", type=Path)
    options: Any = parser.parse_args(arguments)
    with patch.object(settle, "send", Recorder(options.folder).send):
        run(options.config)


if __name__ == "__main__":
    main()
