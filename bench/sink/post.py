"""The sink's limit: the requests that it has sent, sent again by as many connections, each its own in their order.

Run as `python -m bench.sink.post`: it reads them into memory, then sends them as the sink does.
"""

from __future__ import annotations

import argparse
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from elasticsearch import Elasticsearch

from bench.errors import BenchError
from bench.sink.requests import Request, kept
from ops.elastic import raw
from ops.settings import ElasticsearchSettings
from sink.bulk import send


def post(client: Elasticsearch, requests: Sequence[Request]) -> None:
    """One connection."""
    for request in requests:
        if not send(client, request.body, request.items, gzip=request.gzip).applied:
            raise BenchError("Elasticsearch did not apply everything")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sink.post", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("rows", type=int)
    options = parser.parse_args()
    lanes = [list(kept(path)) for path in sorted(options.folder.iterdir())]
    items = sum(request.items for lane in lanes for request in lane)
    if items != options.rows:
        raise BenchError(f"{items} documents were recorded of {options.rows}", where=str(options.folder))
    client = raw(ElasticsearchSettings(urls=[options.url]), connections_per_node=len(lanes))
    with ThreadPoolExecutor(len(lanes)) as pool:
        for connection in [pool.submit(post, client, lane) for lane in lanes]:
            connection.result()
    signal.pause()  # until we are stopped: what we cost is read from /proc


if __name__ == "__main__":
    main()
