"""`python -m bench.capture`: results on stdout and in a JSON file, progress on stderr."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.capture.bench import Bench, Plan
from bench.capture.cases import CASES
from bench.capture.report import Result, text, verdicts
from bench.machine import machine
from bench.servers import Servers, servers
from cdc.source.native import MISSING
from stack import artifacts

_ROWS = 1_000_000


def main() -> int:
    options = _options()
    if MISSING:
        sys.stderr.write(f"the native engine is not built: {MISSING}\nTIDEMARK_NATIVE=require pip install -e .\n")
        return 2
    began = time.monotonic()

    def say(sentence: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:7.1f} s  {sentence}\n")
        sys.stderr.flush()

    rows = dict(pair.split("=") for pair in options.rows_of)
    plan = Plan(rounds=options.rounds, cdc=json.loads(options.cdc), with_debezium=not options.no_debezium)
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder, servers(Path(folder), say) as found:
        bench = Bench(found, Path(folder), plan, say)
        chosen = [case for case in CASES if not options.case or case.name in options.case]
        results: list[Result] = []
        for case in chosen:
            results.append(bench.run(case, int(rows.get(case.name, options.rows))))
            _write(options.out, found, plan, results)
    sys.stdout.write(f"{machine()}; {found.versions}\n\n{text(results)}\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.capture", description=__doc__)
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES], help="default: all")
    parser.add_argument("--rows", type=int, default=_ROWS, help="of each backlog (default: %(default)s)")
    parser.add_argument("--rows-of", action="append", default=[], metavar="CASE=ROWS", help="for one case")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side (default: %(default)s)")
    parser.add_argument("--cdc", default="{}", metavar="JSON", help="options of [cdc] other than the defaults")
    parser.add_argument("--no-debezium", action="store_true", help="tidemark and the limits only")
    parser.add_argument("--out", type=Path, default=Path("bench-capture.json"), help="default: %(default)s")
    return parser.parse_args()


def _write(path: Path, found: Servers, plan: Plan, results: list[Result]) -> None:
    report: dict[str, Any] = {
        "schema": "tidemark.bench.capture/1",
        "machine": machine(),
        "servers": found.versions,
        "debezium": artifacts.version_of("debezium", "debezium-connector-mysql"),
        "rounds": plan.rounds,
        "cdc": dict(plan.cdc),
        "cases": [result.to_json() for result in results],
        "targets": [verdict.to_json() for verdict in verdicts(results)],
    }
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
