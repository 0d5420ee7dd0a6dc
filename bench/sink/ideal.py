"""More than a sink can have: the same documents in the order of their ids, and no answer but whether all went well.

No sink that reads partitions has that order, and none that proves every item can do with that answer. Run as
`python -m bench.sink.ideal`: it makes the requests, then several connections take the next one each.
"""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator
from typing import Any, cast

from elasticsearch import Elasticsearch

from bench.errors import BenchError
from bench.sink.rows import Filled, bodies


class Bodies:
    """Handed out one by one, to several threads."""

    def __init__(self, found: list[bytes]) -> None:
        self._left = iter(found)
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            with self._lock:
                body = next(self._left, None)
            if body is None:
                return
            yield body


def post(client: Elasticsearch, found: Bodies, failures: list[str]) -> None:
    """One connection."""
    for body in found:
        reply = client.bulk(operations=cast("Any", body), require_alias=True, filter_path="errors").body
        if reply["errors"]:
            failures.append("Elasticsearch did not take everything")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sink.ideal", description=__doc__)
    for name in ("url", "source", "topic_id"):
        parser.add_argument(name)
    for name in ("rows", "items", "connections"):
        parser.add_argument(name, type=int)
    options = parser.parse_args()
    filled = Filled(source=options.source, topic_id=options.topic_id, rows=options.rows)
    made = Bodies(list(bodies(filled, options.items)))
    client = Elasticsearch([options.url], connections_per_node=options.connections, max_retries=0, request_timeout=120)
    failures: list[str] = []
    threads = [threading.Thread(target=post, args=(client, made, failures)) for _ in range(options.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise BenchError(failures[0])
    signal.pause()  # until we are stopped: what we cost is read from /proc


if __name__ == "__main__":
    main()
