"""Figures to tables, ratios and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.capture.measure import Run
from bench.spread import Spread
from bench.text_table import text_table

OURS = "tidemark"
FIGURES = ("cold_rows_per_s", "warm_rows_per_s", "cpu_s_per_million", "peak_mb")
_LESS_IS_BETTER = {"cpu_s_per_million", "peak_mb"}
LIMITS = ("binlog_read", "decode", "publish")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`ratio`: ours to theirs where more is better, theirs to ours where less is."""

    case: str
    figure: str
    ratio: float


_MAIN = "multi-row"
TARGETS = (
    Target(case=_MAIN, figure="cold_rows_per_s", ratio=5),
    Target(case=_MAIN, figure="warm_rows_per_s", ratio=4),
    Target(case="single-row", figure="cold_rows_per_s", ratio=4),
    Target(case=_MAIN, figure="cpu_s_per_million", ratio=10),
    Target(case=_MAIN, figure="peak_mb", ratio=10),
)
_OF_PUBLISH_ONLY = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One case: the runs of both sides in their order, and the limits as rows a second."""

    case: str
    what: str
    rows: int
    binlog_mb: float
    runs: Sequence[Run]
    limits: Mapping[str, Sequence[float]]

    def spread(self, side: str, figure: str) -> Spread:
        return Spread.of(getattr(run, figure) for run in self.runs if run.side == side)

    @property
    def sides(self) -> list[str]:
        return list(dict.fromkeys(run.side for run in self.runs))

    def ratio(self, figure: str) -> float:
        """How many times better we are than the best of the others' ways, by medians."""
        ours = self.spread(OURS, figure).median
        theirs = [self.spread(side, figure).median for side in self.sides if side != OURS]
        return min(theirs) / ours if figure in _LESS_IS_BETTER else ours / max(theirs)

    @property
    def of_publish_only(self) -> float:
        """Our warm rows a second as a share of what publishing alone reaches."""
        return self.spread(OURS, "warm_rows_per_s").median / Spread.of(self.limits["publish"]).median

    def to_json(self) -> dict[str, Any]:
        return {
            "case": self.case,
            "what": self.what,
            "rows": self.rows,
            "binlog_mb": round(self.binlog_mb, 1),
            "sides": {side: {name: self.spread(side, name).to_json() for name in FIGURES} for side in self.sides},
            "limits_rows_per_s": {name: Spread.of(values).to_json() for name, values in self.limits.items()},
            "ratios": {name: round(self.ratio(name), 2) for name in FIGURES} if len(self.sides) > 1 else {},
            "of_publish_only": round(self.of_publish_only, 3),
            "runs": [run.to_json() for run in self.runs],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A target, and what was reached."""

    what: str
    wanted: float
    reached: float

    @property
    def holds(self) -> bool:
        return self.reached >= self.wanted

    def to_json(self) -> dict[str, Any]:
        return {"target": self.what, "wanted": self.wanted, "reached": round(self.reached, 2), "holds": self.holds}


def verdicts(results: Sequence[Result]) -> list[Verdict]:
    """Of all targets whose cases were measured."""
    found = []
    for result in results:
        for target in TARGETS:
            if target.case == result.case and len(result.sides) > 1:
                what = f"{target.figure} of {target.case}, times better than Debezium"
                found.append(Verdict(what=what, wanted=target.ratio, reached=result.ratio(target.figure)))
        if result.case == _MAIN:
            what = "warm_rows_per_s of multi-row, share of publishing alone"
            found.append(Verdict(what=what, wanted=_OF_PUBLISH_ONLY, reached=result.of_publish_only))
    return found


def text(results: Sequence[Result]) -> str:
    """The tables, in Markdown."""
    parts = [_case(result) for result in results]
    rows = [
        (verdict.what, f"{verdict.wanted:g}", f"{verdict.reached:.2f}", "yes" if verdict.holds else "NO")
        for verdict in verdicts(results)
    ]
    return "\n\n".join([*parts, text_table(("target", "wanted", "reached", "holds"), rows)])


def _case(result: Result) -> str:
    head = ("median (least-most)", "rows/s cold", "rows/s warm", "CPU s/M rows", "peak MB")
    digits = (0, 0, 1, 0)
    rows = [
        (side, *(result.spread(side, name).text(places) for name, places in zip(FIGURES, digits, strict=True)))
        for side in result.sides
    ]
    if len(result.sides) > 1:
        rows.append(("times better", *(f"{result.ratio(name):.1f}" for name in FIGURES)))
    limits = [(name.replace("_", " "), Spread.of(values).text()) for name, values in result.limits.items()]
    title = f"{result.case}: {result.what}; {result.rows:,} rows, {result.binlog_mb:,.0f} MB of binlog"
    return "\n\n".join([title, text_table(head, rows), text_table(("limit", "rows/s"), limits)])
