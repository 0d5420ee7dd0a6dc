"""Which topics are a source's, and what is said of those that are not as the pipeline relies on."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from cdc.topics import Topics
from ops.settings import KafkaSettings
from schemas import names
from schemas.errors import TopicMismatchError


def topics(monkeypatch: pytest.MonkeyPatch, counts: Mapping[str, int]) -> Topics:
    """On a cluster with these topics (name -> partitions)."""
    found = {name: SimpleNamespace(partitions=range(count), error=None) for name, count in counts.items()}
    client: Any = SimpleNamespace(list_topics=lambda **_: SimpleNamespace(topics=found))
    monkeypatch.setattr("cdc.topics.admin", lambda *_: client)
    return Topics(KafkaSettings(bootstrap_servers="k:1"), "shop")


def test_a_database_named_like_a_control_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {names.topic("shop", db, "t"): 3 for db in ("a", "__a", "__positions", "__schema")}
    others = {**dict.fromkeys(names.control_topics("shop"), 1), "shopping.a.t": 2}
    assert len(others) == 5
    assert topics(monkeypatch, {**tables, **others}).of_source() == tables


@pytest.mark.parametrize("counts", [{"shop.a.t": 8}, {}])
def test_the_remedy_for_another_partition_count(monkeypatch: pytest.MonkeyPatch, counts: Mapping[str, int]) -> None:
    """Deleted as it stands, a topic takes rows with it that no rebuild and no audit would miss."""
    with pytest.raises(TopicMismatchError) as caught:
        topics(monkeypatch, counts).ensure({"shop.a.t": 6}, pinned={"shop.a.t": 6})
    order = ("stop the sink", "6 partitions, cleanup.policy=compact", "published again (", "only then", "sink rebuild")
    places = [caught.value.hint.index(words) for words in order]
    assert places == sorted(places)


@pytest.mark.parametrize("topic", sorted(names.control_topics("shop")))
def test_a_control_topic_is_not_to_be_deleted_with_what_it_holds(monkeypatch: pytest.MonkeyPatch, topic: str) -> None:
    with pytest.raises(TopicMismatchError, match="has 3 partitions") as caught:
        topics(monkeypatch, {topic: 3}).ensure_control()
    assert "save its records" in caught.value.hint
