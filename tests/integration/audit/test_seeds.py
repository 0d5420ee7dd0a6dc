"""The report equals what was injected: every class, keys of every kind, changes while the audit runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from audit_harm import Harm, Harmed
from auditing import World
from auditor import hunt, table_audit
from auditor import search as pure
from auditor.requests import Requests
from schemas.report import AuditReport

pytestmark = pytest.mark.stack

MakeWorld = Callable[..., World]

_SHAPES: list[dict[str, Any]] = [
    {"partitions": 3},
    {"partitions": 5, "key": ("a", "b"), "audit": {"leaf_keys": 1}},
    {"partitions": 1, "audit": {"leaf_keys": 64}},
]
_FAN_OUT = 4


#: Ways of the search, and what to set in `auditor.search` so that a small world is searched in that way.
_COURSES: dict[str, dict[str, float]] = {
    "offset": {"_SCATTERED": 0},
    "key": {"_SCATTERED": 1000, "_LEAST_SPLIT": 1, "_SCAN_SHARE": 2, "_CLOSER": 0},
    "scan": {"_SCATTERED": 1000, "_LEAST_SPLIT": 1, "_SCAN_SHARE": -1, "_SCAN_KEYS": 16},
}


def take(monkeypatch: pytest.MonkeyPatch, course: str) -> None:
    """Search in that way, in small steps; what is listed is listed in several requests."""
    for name, value in {"_LEAVES_LISTED": 1, **_COURSES[course]}.items():
        monkeypatch.setattr(pure, name, value)
    monkeypatch.setattr(table_audit, "Limits", partial(pure.Limits, buckets=16, fan_out=_FAN_OUT))
    for name, value in {"_RANGES_A_LIST": 5, "_KEYS_A_LIST": 60, "_EMPTY_AT_ONCE": 3}.items():
        monkeypatch.setattr(hunt, name, value)


def check_taken(report: AuditReport, course: str, leaf_keys: int) -> None:
    """That the search has gone that way, several levels deep where it has levels."""
    axes = [level.axis for level in report.tables[0].search]
    if course == "offset":
        assert axes.count("offset") >= 3
        assert "key" not in axes
    elif course == "key":
        assert axes[:2] == ["offset", "offset"]
        assert axes.count("key") >= (2 if report.tables[0].keys > leaf_keys * _FAN_OUT else 1)
    else:
        assert axes == ["offset", "offset", "scan"]
        listed = report.tables[0].search[-1]
        assert listed.ranges > listed.requests > 1


def said(report: AuditReport) -> Harmed:
    assert not report.reason
    assert sum(table.counts[kind] for table in report.tables for kind in table.counts) == len(report.findings())
    return {(finding.class_.value, finding.id) for finding in report.findings()}


def at_point_in_time(monkeypatch: pytest.MonkeyPatch, which: int, action: Callable[[], None]) -> None:
    """Do something right after the audit has taken its first, or its second, point in time."""
    real, seen = Requests.send, iter(range(100))

    def send(self: Requests, what: str, call: Callable[[], Any]) -> Any:
        answer = real(self, what, call)
        if what == "point in time" and next(seen) == which:
            action()
        return answer

    monkeypatch.setattr(Requests, "send", send)


def shapes_and_seeds(worlds: int, each: int) -> Iterator[Any]:
    for number in range(worlds):
        seeds = range(number * each, (number + 1) * each)
        course = list(_COURSES)[(number + number // 3) % 3]
        yield pytest.param(_SHAPES[number % 3], seeds, course, id=f"from {number * each} by {course}")


def check(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, shape: dict[str, Any], seeds: range, course: str
) -> None:
    world = make_world(**shape)
    harm = Harm(world, seeds)
    at_point_in_time(monkeypatch, seeds.start % 2, harm.during)
    take(monkeypatch, course)
    deep = world.audit(deep=True)
    assert said(deep) == harm.deep
    shallow = world.audit()
    assert said(shallow) - harm.lucky == harm.shallow
    for report in (deep, shallow):
        check_taken(report, course, world.settings.audit.leaf_keys)


@pytest.mark.parametrize(("shape", "seeds", "course"), list(shapes_and_seeds(worlds=3, each=8)))
def test_the_report_is_what_was_injected(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, shape: dict[str, Any], seeds: range, course: str
) -> None:
    check(make_world, monkeypatch, shape, seeds, course)


@pytest.mark.soak
@pytest.mark.parametrize(("shape", "seeds", "course"), list(shapes_and_seeds(worlds=30, each=10)))
def test_the_report_is_what_was_injected_every_time(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, shape: dict[str, Any], seeds: range, course: str
) -> None:
    check(make_world, monkeypatch, shape, seeds, course)
