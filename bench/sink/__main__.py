"""`python -m bench.sink`: results on stdout and in a JSON file, progress on stderr."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from bench.elastic import elastic
from bench.errors import BenchError
from bench.machine import machine
from bench.servers import servers
from bench.sink.fill import Filler
from bench.sink.flat import flat
from bench.sink.latency import latency
from bench.sink.race import race
from bench.sink.report import Results
from bench.sink.runners import Place
from bench.sink.whole import whole
from stack.watcher import Report

_PARTS = ("unpinned", "pinned", "latency", "whole", "flat")


def main() -> int:
    options = _options()
    began = time.monotonic()

    def say(sentence: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:7.1f} s  {sentence}\n")
        sys.stderr.flush()

    results = Results()
    try:
        with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
            _measure(options, results, Path(folder), say)
    finally:
        # What was measured before something failed took long enough.
        report = {"schema": "tidemark.bench.sink/1", "machine": machine(), **results.to_json()}
        options.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        sys.stdout.write(f"{machine()}; {results.servers}\n\n{results.text()}\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.sink", description=__doc__)
    parser.add_argument("--part", action="append", choices=_PARTS, help="default: all")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of a race (default: %(default)s)")
    parser.add_argument("--rows-flat", type=int, default=5_000_000, help="default: %(default)s")
    parser.add_argument("--rows-whole", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="turns of a race (default: %(default)s)")
    parser.add_argument("--per-s", type=int, default=5000, help="rows a second of the latency (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="of the latency (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=3, help="lanes too (default: %(default)s)")
    parser.add_argument("--items", type=int, default=2000, help="of a request of the others (default: %(default)s)")
    parser.add_argument("--sink", default="{}", metavar="JSON", help="options of [sink] other than the defaults")
    parser.add_argument("--out", type=Path, default=Path("bench-sink.json"), help="default: %(default)s")
    return parser.parse_args()


def _measure(options: argparse.Namespace, results: Results, folder: Path, say: Report) -> None:
    parts = options.part or _PARTS
    with servers(folder, say) as found, elastic(folder, say) as node:
        results.servers = f"{found.versions}, {node.version}"
        pids = {"elasticsearch": node.pid, "kafka": found.kafka_pid}
        place = Place(
            elastic=node, kafka=found.kafka, folder=folder, connections=options.connections, items=options.items,
            sink=json.loads(options.sink),
        )  # fmt: skip
        if {"unpinned", "pinned", "flat"} & set(parts):
            _filled(options, results, place, pids, say)
        if "latency" in parts:
            results.latency = latency(place, options.per_s, options.seconds)
            say(f"latency: {results.latency.to_json()}")
        if "whole" in parts:
            results.whole = whole(found, node, folder, options.rows_whole)
            say(f"whole: {results.whole}")


def _filled(options: argparse.Namespace, results: Results, place: Place, pids: dict[str, int], say: Report) -> None:
    parts = options.part or _PARTS
    filler = Filler(place.kafka, f"bench_{os.urandom(3).hex()}")
    try:
        say(f"writing {options.rows} rows")
        filled = filler.fill(options.rows)
        for pin in (False, True):
            if ("pinned" if pin else "unpinned") in parts:
                if pin and not all(pids.values()):
                    raise BenchError("servers that are not ours are not pinned", hint="Unset TIDEMARK_TEST_*.")
                results.races.append(race(place, filled, pids, options.rounds, pin=pin, say=say))
        if "flat" in parts:
            say(f"writing {options.rows_flat} rows in all")
            results.flat = flat(place, filler.fill(max(0, options.rows_flat - options.rows)), pids)
            say(f"flat: {results.flat}")
    finally:
        filler.close()


if __name__ == "__main__":
    sys.exit(main())
