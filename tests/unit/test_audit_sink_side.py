"""What the sink's group says of its position."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from auditor.run_context import Context
from auditor.sink_side import Settled, SinkSide
from ops.settings import Settings
from schemas.errors import LaggingError, UnreachableError


class Group:
    """An admin client that knows one group's offsets, or an error."""

    def __init__(self, *parts: TopicPartition, error: int | None = None) -> None:
        self.parts, self.error = parts, error

    def list_consumer_group_offsets(self, asked: list[Any], **_: object) -> dict[str, Any]:
        return {asked[0].group_id: SimpleNamespace(result=self._result)}

    def _result(self, _timeout_s: float) -> Any:
        if self.error is not None:
            raise KafkaException(KafkaError(self.error))
        return SimpleNamespace(topic_partitions=self.parts)


def side(group: Group, monkeypatch: pytest.MonkeyPatch) -> SinkSide:
    monkeypatch.setattr("auditor.sink_side.admin", lambda *_: group)
    tree = {"source": {"name": "x", "user": "x", "password": "x"}, "audit": {"wait_s": 0.3}}
    return SinkSide(Context(settings=Settings.model_validate(tree)), "t", "id", (0, 1))


NOTHING = (TopicPartition("t", 0, -1001), TopicPartition("t", 1, -1001))


@pytest.mark.parametrize("group", [Group(*NOTHING), Group(error=KafkaError.GROUP_ID_NOT_FOUND)])
def test_nothing_committed_is_behind_not_unseen(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = side(group, monkeypatch)
    assert sink.committed() == {}
    with pytest.raises(LaggingError):
        sink.wait({0: 4}, {0: 5, 1: 0})
    assert sink.wait({}, {0: 0, 1: 0}) == Settled(offsets={0: 0, 1: 0}, seen=True)
    assert sink.now(Settled(offsets={0: 5}, seen=True)) == Settled(offsets={0: 5}, seen=True)


def test_a_group_that_may_not_be_looked_at_is_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = side(Group(error=KafkaError.GROUP_AUTHORIZATION_FAILED), monkeypatch)
    assert sink.committed() is None
    assert sink.wait({0: 4}, {0: 5, 1: 0}) == Settled(offsets={0: 5, 1: 0}, seen=False)


def test_any_other_error_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnreachableError):
        side(Group(error=KafkaError._TIMED_OUT), monkeypatch).committed()
