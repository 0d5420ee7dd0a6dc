"""A commit that fails is a trouble only as long as something of it is ours."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, TopicPartition

from ops.settings import Settings
from sink import consumer
from sink.consumer import Group
from sink.lease import Lease
from sink.membership import Membership
from sink.offsets import Mark
from sink.part import Part
from sink.trouble import Fault, Troubles
from sink_kit import part_of


@pytest.fixture
def troubles() -> Troubles:
    return Troubles()


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch, troubles: Troubles) -> Group:
    monkeypatch.setattr(consumer, "consumer", lambda *_, **__: SimpleNamespace())
    return Group(
        Settings.model_validate({"source": {"name": "s"}}),
        member=Membership(client={}, session_s=60, why=""),
        lease=Lease(60),
        troubles=troubles,
        fault=Fault(),
        targets=dict,
        claim=lambda _part: None,
        verify=lambda _topic, _left_s: None,
        set_aside=frozenset,
    )


def failed(group: Group, part: Part) -> None:
    """Kafka's answer to a commit of this partition."""
    group._asked = (time.monotonic(), {part: (Mark(1, 1), 1)})
    group._on_commit(KafkaError(KafkaError.UNKNOWN_MEMBER_ID), [])


def lost(group: Group, part: Part) -> None:
    places: list[Any] = [TopicPartition(part.topic, part.number)]
    group._on_lost(SimpleNamespace(), places)  # type: ignore[arg-type]


def test_partitions_that_went_to_others_take_the_trouble_with_them(group: Group, troubles: Troubles) -> None:
    part = part_of()
    group.parts[part.topic, part.number] = part
    failed(group, part)
    assert "UNKNOWN_MEMBER_ID" in troubles.reason
    lost(group, part)
    assert troubles.reason == ""


def test_an_answer_that_comes_after_they_went_is_no_trouble(group: Group, troubles: Troubles) -> None:
    part = part_of()
    group.parts[part.topic, part.number] = part
    lost(group, part)
    failed(group, part)
    assert troubles.reason == ""
