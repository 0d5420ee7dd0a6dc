"""What the benchmarks make of their figures: medians, the rival's better way, verdicts; and what a process costs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench import meter
from bench.capture.cases import CASES
from bench.capture.measure import Run
from bench.capture.report import OURS, Result, text, verdicts
from bench.spread import Spread
from bench.text_table import text_table


def run(side: str, cold: float, warm: float, cpu: float, peak: float) -> Run:
    return Run(
        side=side,
        cold_rows_per_s=cold,
        warm_rows_per_s=warm,
        cpu_s_per_million=cpu,
        peak_mb=peak,
        seconds=1,
        event_mb=1,
        elsewhere=0,
    )


RESULT = Result(
    case="multi-row",
    what="rows",
    rows=100,
    binlog_mb=1,
    runs=[
        run(OURS, 100, 200, 8, 100),
        run("a", 10, 30, 90, 1500),
        run("b", 25, 20, 70, 900),
        run(OURS, 110, 210, 7, 110),
        run(OURS, 500, 900, 1, 10),
    ],
    limits={"publish": [400, 500, 420]},
)


def test_the_others_better_way_counts_in_each_figure() -> None:
    assert RESULT.sides == [OURS, "a", "b"]
    assert RESULT.ratio("cold_rows_per_s") == pytest.approx(110 / 25)
    assert RESULT.ratio("warm_rows_per_s") == pytest.approx(210 / 30)
    assert RESULT.ratio("cpu_s_per_million") == pytest.approx(70 / 7)
    assert RESULT.ratio("peak_mb") == pytest.approx(900 / 100)


def test_each_target_is_judged() -> None:
    found = {verdict.what: verdict for verdict in verdicts([RESULT])}
    assert len(found) == 5
    assert {what for what, verdict in found.items() if verdict.holds} == {
        "warm_rows_per_s of multi-row, times better than Debezium",
        "cpu_s_per_million of multi-row, times better than Debezium",
        "warm_rows_per_s of multi-row, share of publishing alone",
    }
    assert "| NO |" in text([RESULT]).replace("    NO", " NO")


def test_without_a_rival_only_the_limits_are_judged() -> None:
    alone = Result(
        case="multi-row", what="rows", rows=1, binlog_mb=1, runs=[run(OURS, 1, 2, 3, 4)], limits={"publish": [3]}
    )
    assert [verdict.wanted for verdict in verdicts([alone])] == [0.5]
    assert "times better" not in text([alone]).partition("target")[0]


def test_spread_and_table() -> None:
    assert Spread.of([3, 1, 20]).text() == "3 (1-20)"
    assert text_table(("a", "b"), [("long", "1")]) == "| a    | b |\n|------|--:|\n| long | 1 |"


def test_cases_write_as_many_rows_as_asked() -> None:
    for case in CASES:
        assert len(list(case.backlog(1200))) == (1 if case.per_transaction == 1 else 3)
        assert "{" not in case.insert(1, 10)


def test_the_cost_of_a_process_holds_its_children() -> None:
    burn = "import time, os\nwhile time.process_time() < 0.3: pass\nbytearray(50 << 20)\n"
    script = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        assert meter.cost(child.pid).cpu_s >= 0.3
        child.communicate(b"\n")
    assert meter.cpu_s([os.getpid()]) > 0
    assert meter.cost(os.getpid()).peak_bytes > 5 << 20
    assert meter.machine_busy_s() > 0
