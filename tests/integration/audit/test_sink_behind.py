"""A sink that is behind, or whose offsets cannot be believed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from auditing import World, found, ids
from schemas.report import AuditStatus

pytestmark = pytest.mark.stack

MakeWorld = Callable[..., World]


def test_a_lagging_sink_is_inconclusive(make_world: MakeWorld) -> None:
    world = make_world(audit={"wait_s": 0.5})
    world.put(*ids(50))
    world.sync()
    world.put("7", "x", text="not there yet")
    report = world.audit()
    assert report.status is AuditStatus.INCONCLUSIVE
    assert "is at offset" in report.reason
    assert (report.tables[0].lagging, found(report)) == (2, {})


def test_a_sink_that_has_committed_nothing_yet_is_behind(make_world: MakeWorld) -> None:
    world = make_world(audit={"wait_s": 0.5})
    world.put(*ids(50))
    report = world.audit()
    assert (report.status, report.tables[0].lagging, found(report)) == (AuditStatus.INCONCLUSIVE, 50, {})
    assert "at offset nothing of partition" in report.reason


def test_where_the_group_may_not_be_looked_at_time_passes_instead(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(audit={"wait_s": 0.5})
    world.put(*ids(50))
    world._bulk(world.rows)
    world.remove("7")
    monkeypatch.setattr("auditor.sink_side.SinkSide.committed", lambda _: None)
    assert found(world.audit()) == {"missing": ["7"]}


def test_offsets_of_another_topic_of_the_same_name_do_not_count(make_world: MakeWorld) -> None:
    world = make_world(audit={"wait_s": 0.5})
    world.put(*ids(50))
    world._bulk(world.rows)
    world.commit_offsets(metadata='{"format":1,"topic_id":"another","seq":"1","began_ms":1}')
    world.synced = len(world.rows)
    assert world.audit().status is AuditStatus.INCONCLUSIVE  # as if nothing were committed
    world.commit_offsets(metadata=f'{{"format":1,"topic_id":"{world.topic_id}","seq":"1","began_ms":1}}')
    assert world.audit().status is AuditStatus.CLEAN
