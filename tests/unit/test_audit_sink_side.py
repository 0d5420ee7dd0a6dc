"""What the sink's group says of its position."""

from __future__ import annotations

import pytest
from confluent_kafka import TopicPartition

from auditor.run_context import Context
from auditor.sink_side import Settled, SinkSide
from ops.settings import Settings
from schemas.errors import LaggingError, RefusedError, TidemarkError, UnreachableError


class Group:
    """What a group has committed, or why it does not tell."""

    def __init__(self, *parts: TopicPartition, error: TidemarkError | None = None) -> None:
        self.parts, self.error, self.asked = parts, error, 0

    def committed(self, *_: object) -> list[TopicPartition]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return list(self.parts)


def side(group: Group, monkeypatch: pytest.MonkeyPatch) -> SinkSide:
    monkeypatch.setattr("auditor.sink_side.committed", group.committed)
    tree = {"source": {"name": "x", "user": "x", "password": "x"}, "audit": {"wait_s": 0.3}}
    return SinkSide(Context(settings=Settings.model_validate(tree)), "t", "id", (0, 1))


NOTHING = (TopicPartition("t", 0, -1001), TopicPartition("t", 1, -1001))


def test_nothing_committed_is_behind_not_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = side(Group(*NOTHING), monkeypatch)
    assert sink.committed() == {}
    with pytest.raises(LaggingError):
        sink.wait({0: 4}, {0: 5, 1: 0})
    assert sink.wait({}, {0: 0, 1: 0}) == Settled(offsets={0: 0, 1: 0}, seen=True)
    assert sink.now(Settled(offsets={0: 5}, seen=True)) == Settled(offsets={0: 5}, seen=True)


def test_a_group_that_may_not_be_looked_at_is_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group(error=RefusedError("no"))
    sink = side(group, monkeypatch)
    assert sink.committed() is None
    assert sink.wait({0: 4}, {0: 5, 1: 0}) == Settled(offsets={0: 5, 1: 0}, seen=False)
    assert group.asked == 1  # each refusal takes the client a quarter of a minute


def test_any_other_error_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnreachableError):
        side(Group(error=UnreachableError("no")), monkeypatch).committed()
