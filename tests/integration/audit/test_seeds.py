"""The report equals what was injected: every class, keys of every kind, changes while the audit runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from audit_harm import Harm, Harmed
from auditing import World
from auditor.requests import Requests
from schemas.report import AuditReport

pytestmark = pytest.mark.stack

MakeWorld = Callable[..., World]

_SHAPES: list[dict[str, Any]] = [
    {"partitions": 3},
    {"partitions": 5, "key": ("a", "b"), "audit": {"leaf_keys": 1}},
    {"partitions": 1, "audit": {"leaf_keys": 64}},
]


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
        yield pytest.param(_SHAPES[number % 3], range(number * each, (number + 1) * each), id=f"from {number * each}")


def check(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, shape: dict[str, Any], seeds: range) -> None:
    world = make_world(**shape)
    harm = Harm(world, seeds)
    at_point_in_time(monkeypatch, seeds.start % 2, harm.during)
    assert said(world.audit(deep=True)) == harm.deep
    assert said(world.audit()) - harm.lucky == harm.shallow


@pytest.mark.parametrize(("shape", "seeds"), list(shapes_and_seeds(worlds=3, each=8)))
def test_the_report_is_what_was_injected(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, shape: dict[str, Any], seeds: range
) -> None:
    check(make_world, monkeypatch, shape, seeds)


@pytest.mark.soak
@pytest.mark.parametrize(("shape", "seeds"), list(shapes_and_seeds(worlds=30, each=10)))
def test_the_report_is_what_was_injected_every_time(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, shape: dict[str, Any], seeds: range
) -> None:
    check(make_world, monkeypatch, shape, seeds)
