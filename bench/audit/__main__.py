"""`python -m bench.audit`: what an audit costs, case by case, beside a scan of all documents; a table on stdout."""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from bench.audit.run import Run, audit, configure
from bench.audit.scan import Scanned, scan
from bench.audit.world import World
from bench.elastic import elastic
from bench.machine import machine
from bench.servers import servers
from bench.sink.rows import first_seq
from bench.text_table import text_table

_BULK = 2000
_SEED = 11


def main() -> int:
    options = _options()
    began = time.monotonic()

    def say(sentence: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:7.1f} s  {sentence}\n")
        sys.stderr.flush()

    runs: list[Run] = []
    scanned: Scanned | None = None
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as name:
        folder = Path(name)
        with servers(folder, say) as found, elastic(folder, say) as node:
            world = World(found.kafka, node, f"bench_{os.urandom(3).hex()}")
            try:
                say(f"writing {options.rows} rows")
                world.fill(options.rows)
                config = configure(folder, world.source, found.kafka, node.url)
                for run in _cases(world, config, options):
                    say(f"{run}")
                    runs.append(run)
                if not options.quick:
                    scanned = scan(found.kafka, world.table.topic, node.url, world.index.name, world.written)
            finally:
                world.close()
    text = _text(runs, scanned)
    report = {
        "machine": machine(),
        "rows": options.rows,
        "runs": [asdict(run) for run in runs],
        "scan": scanned._asdict() if scanned else None,
    }
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{machine()}; {options.rows:,} keys\n\n{text}\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.audit", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--per-s", type=int, default=5000, help="rows a second of the live case (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="what does not take long with many rows")
    parser.add_argument("--out", type=Path, default=Path("bench-audit.json"), help="default: %(default)s")
    return parser.parse_args()


def _cases(world: World, config: Path, options: argparse.Namespace) -> Iterator[Run]:
    rng, rows = random.Random(_SEED), options.rows  # noqa: S311  no secret
    yield audit(config, "warm-up", 0)
    yield audit(config, "clean", 0)
    lost = {
        "1 missing": rng.sample(range(1, rows + 1), 1),
        "1,000 missing at random": rng.sample(range(1, rows + 1), 1000),
        "a lost bulk of 2,000": range(rows // 2, rows // 2 + _BULK),
        # Ids sort as text, and lie along the offsets as numbers: a run of texts is scattered in runs of numbers.
        "a range of keys": [number for number in range(1, rows + 1) if str(number).startswith("123")],
    }
    for name, numbers in lost.items():
        placed = [world.rows[number] for number in numbers]
        world.remove(placed)
        yield audit(config, name, len(placed))
        world.put(placed)
    if options.quick:
        return
    one = [world.rows[rows // 3]]
    world.remove(one)
    with _writing(world, options.per_s, spared=one[0].number):
        yield audit(config, f"1 missing, {options.per_s:,} rows/s written", 1)
    world.put(one)
    with _writing(world, options.per_s, spared=0):
        yield audit(config, f"clean, {options.per_s:,} rows/s written", 0)


@contextmanager
def _writing(world: World, per_s: int, *, spared: int) -> Iterator[None]:
    """Rewrite random rows meanwhile, four transactions a second, each indexed before the next."""
    stop = threading.Event()
    errors: list[BaseException] = []
    thread = threading.Thread(target=_write, args=(world, per_s, spared, stop, errors))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


def _write(world: World, per_s: int, spared: int, stop: threading.Event, errors: list[BaseException]) -> None:
    rng, count = random.Random(_SEED), len(world.rows)  # noqa: S311  no secret
    seq = max(first_seq(count), *(placed.seq for placed in world.rows.values()))
    due = time.monotonic()
    try:
        while not stop.is_set():
            numbers = [number for number in rng.sample(range(1, count + 1), per_s // 4) if number != spared]
            world.write([(number, seq + 1024 * place) for place, number in enumerate(numbers, 1)])
            seq += 1024 * len(numbers)
            due = max(due + 0.25, time.monotonic() - 1)
            stop.wait(due - time.monotonic())
    except BaseException as error:  # noqa: BLE001  raised again by who started this
        errors.append(error)


def _text(runs: list[Run], scanned: Scanned | None) -> str:
    head = [
        "case",
        "found",
        "search requests",
        "search s",
        "read s",
        "judge s",
        "audit s",
        "process s",
        "CPU s",
        "peak MB",
        "how",
    ]
    rows = [
        [run.name, f"{run.found:,}", str(run.searches), f"{run.search_s:.2f}", f"{run.read_s:.2f}",
         f"{run.judge_s:.2f}", f"{run.audit_s:.2f}", f"{run.whole_s:.2f}", f"{run.cpu_s:.2f}",
         f"{run.peak_bytes >> 20}", run.axes]
        for run in runs
    ]  # fmt: skip
    if scanned is None:
        return text_table(head, rows)
    scan_row = ["helpers.scan joined with the keys", f"{scanned.wrong:,}", "", f"{scanned.scan_s:.2f}",
                f"{scanned.read_s:.2f}", "", f"{scanned.read_s + scanned.scan_s:.2f}", "", "", "", ""]  # fmt: skip
    return text_table(head, [*rows, scan_row])


if __name__ == "__main__":
    sys.exit(main())
