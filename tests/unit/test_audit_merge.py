"""Parts of a shared-out audit: put together, or refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from auditor import merge as merging
from auditor.audit import verdict
from auditor.report_command import _merged
from reports import NOW, finding, report, table, window
from schemas.errors import UsageError
from schemas.report import Against, AuditReport, AuditStatus, FindingClass, TableReport

CLEAN, RED, GRAY = AuditStatus.CLEAN, AuditStatus.FINDINGS, AuditStatus.INCONCLUSIVE


def merge(parts: Sequence[AuditReport]) -> list[TableReport]:
    """Each part with an id of its own."""
    return merging.merge([one.model_copy(update={"id": f"{one.id}{number}"}) for number, one in enumerate(parts)])


def part(*partitions: int, of: int = 4, **more: object) -> AuditReport:
    return report(table(parts=partitions, of=of, keys=10, **more))


def test_parts_make_a_whole() -> None:
    [one] = merge([part(0, 1, unsettled=600), part(2, unsettled=501), part(3)])
    assert one.unsettled == 1101
    assert (one.status, one.reason, one.whole, one.keys) == (CLEAN, "", True, 30)
    assert [window.partition for window in one.windows] == [0, 1, 2, 3]
    assert (one.cost.events, one.cost.rounds, one.cost.requests) == (39, 3, 18)
    assert (one.lag.records, one.lag.waited_s) == (12, 0.7)


def test_findings_of_all_of_them() -> None:
    first = report(table(finding("missing", "7"), finding("dead_lettered", "8"), parts=(0,), of=2, keys=500))
    second = report(table(finding("missing", "3", partition=1), parts=(1,), of=2, keys=90))
    [one] = merge([second, first])
    assert (one.status, one.counts) == (RED, {FindingClass.MISSING: 2, FindingClass.DEAD_LETTERED: 1})
    assert [found.id for found in one.findings] == ["3", "7", "8"]
    assert sum(sum(cell.values()) for cell in one.key_space.marks) == 3
    assert [(level.ranges, level.dirty, level.keys) for level in one.search] == [(2, 2, 590)]
    [dead] = merge([report(table(finding("dead_lettered", "8"), of=2)), part(1, of=2)])
    assert dead.status is CLEAN


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([part(0, 1), part(3)], "no part has partition 2"),
        ([part(0), part(1)], "no part has partition 2-3"),
        ([part(0, 1), part(2, 3, reason="the sink is behind")], "the sink is behind"),
        ([part(0, 1, 2, 3), report()], "nothing was checked: no table is captured yet"),
        (
            [part(0, 1), part(of=0, topic_id="", index="", reason="there is no topic")],
            "no part has partition 2-3; there",
        ),
    ],
)
def test_what_nobody_proved_is_inconclusive(parts: list[AuditReport], reason: str) -> None:
    [one] = merge(parts)
    assert one.status is GRAY
    assert one.reason.startswith(reason)
    assert verdict([one])[0] is GRAY


def test_a_table_that_one_of_them_has_only() -> None:
    both = report(table(parts=(0, 1), of=2), table(name="s.u", parts=(0,), of=2))
    first, second = merge([both, report(table(parts=(), of=2), table(name="s.v", parts=(1,), of=2))])[:2]
    assert (first.table, first.status) == ("s.t", CLEAN)
    assert (second.table, second.status, second.reason) == ("s.u", GRAY, "no part has partition 1")


def windows(*ends: tuple[int, int]) -> list[TableReport]:
    return [table(windows=[window(0, low, high)]) for low, high in ends]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([part(0, 1), part(1, 2, 3)], "overlap in partition 1"),
        ([part(0), part(0)], "overlap in partition 0"),
        ([report(one) for one in windows((0, 100), (50, 200))], "overlap in partition 0"),
        ([report(one) for one in windows((0, 0), (0, 0))], "overlap in partition 0"),
        ([report(one) for one in windows((150, 200), (0, 100))], "leave a gap in partition 0"),
        ([part(0, 1), part(2, 3, topic_id="another")], "topic's id: another, i"),
        ([part(0, 1), part(2, 3, index="another")], "index: another, x.s.t.000001"),
        ([part(0, 1, index_id="1"), part(2, 3, index_id="2")], "index's life: 1, 2"),
        ([part(0, 1, rules="1"), part(2, 3)], "filter, transform or fields: 1, the rows"),
        ([part(0, 1), part(2, 3, of=6)], "number of partitions: 4, 6"),
        ([part(0, 1), part(2, 3, deep=True)], "depth: deep, not deep"),
        ([part(0, 1), report(table(parts=(2, 3), of=4), name="y")], "pipeline: x, y"),
        ([part(0, 1, 2, 3)], "nothing to merge"),
    ],
)
def test_what_does_not_belong_together_is_refused(parts: list[AuditReport], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        merge(parts)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"finished": NOW - timedelta(days=1)}, "20261121T030009-abc had ended more than a day before"),
        ({"id": "20261121T030000-abc"}, "20261121T030000-abc is named twice"),
        ({"parts": ["another", "20261121T030000-abc"]}, "20261121T030000-abc is named twice"),
        ({"against": Against.MYSQL}, "20261121T030009-abc is against mysql"),
    ],
)
def test_reports_that_are_no_parts_of_it(changed: dict[str, Any], said: str) -> None:
    other = report(table(parts=(1,), of=2), number=9)
    first = part(0, of=2)
    assert merging.merge([first, other])[0].status is CLEAN
    with pytest.raises(UsageError, match=said):
        merging.merge([first, other.model_copy(update=changed)])


def test_it_is_as_old_as_the_part_that_ended_first() -> None:
    parts = [part(0, of=2), report(table(parts=(1,), of=2), number=9)]
    assert _merged(parts).proven
    assert _merged(parts).finished == parts[0].finished


def test_windows_that_meet_are_one() -> None:
    [one] = merge([report(one) for one in windows((100, 250), (0, 100))])
    assert [(window.low, window.high, window.keys) for window in one.windows] == [(0, 250, 2)]
    assert one.status is CLEAN
