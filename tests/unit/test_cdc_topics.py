"""Which topics are a source's, and what is said of those that are not as the pipeline relies on."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
import structlog.testing
from confluent_kafka import KafkaError, KafkaException

from cdc.checks import _kafka_findings
from cdc.topics import Topics
from ops.checks import Severity
from ops.settings import KafkaSettings, Settings
from schemas import names
from schemas.errors import TopicMismatchError

COMPACTED = {"cleanup.policy": "compact", "retention.ms": "604800000", "retention.bytes": "-1"}
DELETED = {"cleanup.policy": "delete"}


def topics(
    monkeypatch: pytest.MonkeyPatch, counts: Mapping[str, int], configs: Mapping[str, Any] | None = None
) -> Topics:
    """On a cluster with these topics (name -> partitions), and what is said of their configuration, or an error."""

    def describe(resources: list[Any], **_: object) -> dict[Any, Future[Any]]:
        answers: dict[Any, Future[Any]] = {resource: Future() for resource in resources}
        for resource, future in answers.items():
            given = (configs or {}).get(resource.name, {})
            if isinstance(given, KafkaException):
                future.set_exception(given)
                continue
            values = COMPACTED | given
            future.set_result({name: SimpleNamespace(value=value) for name, value in values.items()})
        return answers

    found = {name: SimpleNamespace(partitions=range(count), error=None) for name, count in counts.items()}
    client: Any = SimpleNamespace(
        list_topics=lambda **_: SimpleNamespace(topics=found),
        describe_configs=describe,
        create_topics=lambda *_, **__: {},
    )
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
    config = (
        "cleanup.policy=compact min.compaction.lag.ms=86400000 delete.retention.ms=604800000 max.message.bytes=8454144"
    )
    order = ("stop the sink", f"6 partitions and {config};", "published again (", "only then", "sink rebuild")
    places = [caught.value.hint.index(words) for words in order]
    assert places == sorted(places)


@pytest.mark.parametrize("topic", sorted(names.control_topics("shop")))
def test_a_control_topic_is_not_to_be_deleted_with_what_it_holds(monkeypatch: pytest.MonkeyPatch, topic: str) -> None:
    with pytest.raises(TopicMismatchError, match="has 3 partitions") as caught:
        topics(monkeypatch, {topic: 3}).ensure_control()
    assert "save its records" in caught.value.hint
    size = {"shop.__deadletter": "max.message.bytes=16908288", "shop.__schema": "max.message.bytes=8454144"}
    assert size.get(topic, "cleanup.policy=compact") in caught.value.hint
    assert ("segment.bytes=1048576" in caught.value.hint) == (topic == "shop.__positions")


@pytest.mark.parametrize("topic", ["shop.__positions", "shop.__schema"])
def test_a_control_topic_that_forgets_keeps_cdc_from_starting(monkeypatch: pytest.MonkeyPatch, topic: str) -> None:
    made = topics(monkeypatch, dict.fromkeys(names.control_topics("shop"), 1), {topic: DELETED})
    for _ in range(2):
        with pytest.raises(
            TopicMismatchError, match=f"{topic} \\(cleanup.policy=delete, retention.ms=604800000"
        ) as caught:
            made.ensure_control()
        assert f"--entity-name {topic} --add-config cleanup.policy=compact" in caught.value.hint


def test_a_tables_topic_that_forgets_is_warned_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    both = {"cleanup.policy": "compact,delete", "retention.bytes": "1000", "retention.ms": "-1"}
    unlimited = {"cleanup.policy": "delete", "retention.ms": "-1"}
    counts = {"shop.a.t": 6, "shop.a.u": 6, "shop.a.v": 6, "shop.__deadletter": 1, "shop.__positions": 1}
    made = topics(monkeypatch, counts, {"shop.a.t": both, "shop.a.u": unlimited, "shop.__deadletter": DELETED})
    assert made.losing().limits.keys() == {"shop.a.t", "shop.__deadletter"}
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            made.ensure_control()
            made.ensure(dict.fromkeys(("shop.a.t", "shop.a.u", "shop.a.v"), 6), pinned={})
    assert [log["topic"] for log in logs if log["action"] == "topic_loses"] == ["shop.__deadletter", "shop.a.t"]


@pytest.mark.parametrize(
    "answer",
    [
        *(
            KafkaException(KafkaError(code))
            for code in (KafkaError._TIMED_OUT, KafkaError.CLUSTER_AUTHORIZATION_FAILED)
        ),
        {"cleanup.policy": "delete", "retention.bytes": ""},
    ],
    ids=["no answer", "no right", "no value"],
)
def test_what_cannot_be_seen_of_a_topic_is_said_once_and_keeps_nobody_from_starting(
    monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    counts = {f"shop.a.t{number:03}": 1 for number in range(450)}
    made = topics(monkeypatch, counts, dict.fromkeys([*counts][:-1], answer) | {[*counts][-1]: DELETED})
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            made.ensure(counts, pinned={})
            made._ready.clear()
    assert [(log["action"], log["topics"]) for log in logs] == [
        ("topic_config_unseen", 450)
    ]  # two parts were not asked


def test_a_topic_that_is_deleted_meanwhile_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
    found = topics(monkeypatch, {"shop.a.t": 1, "shop.a.u": 1}, {"shop.a.t": gone, "shop.a.u": DELETED}).losing()
    assert (list(found.unseen), list(found.limits)) == (["shop.a.t"], ["shop.a.u"])


def test_the_doctor_says_what_it_could_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    topics(monkeypatch, {"shop.__schema": 1, "shop.a.t": 1}, {"shop.__schema": refused, "shop.a.t": refused})
    settings = Settings.model_validate({"source": {"name": "shop"}, "kafka": {"bootstrap_servers": "k:1"}})
    answers, unseen = _kafka_findings(settings)
    assert (answers.severity, unseen.severity) == (Severity.OK, Severity.WARN)
    assert "2 topics" in unseen.what
    assert "DESCRIBE_CONFIGS" in unseen.remedy
