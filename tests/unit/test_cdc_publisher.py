"""What librdkafka's errors mean to somebody who publishes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError, KafkaException

from cdc.position_store import Instance, PositionStore
from cdc.publisher import Publisher
from ops.settings import Settings
from ops.stop import Stop
from schemas.errors import RefusedError, SlowCommitError, TidemarkError, TopicMismatchError, UnreachableError


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    """It talks to nobody."""
    settings = Settings.model_validate({"source": {"name": "s"}, "kafka": {"bootstrap_servers": "127.0.0.1:1"}})
    instance = Instance(id="me", label="mine")
    with Publisher(settings, PositionStore(settings, instance), instance, Stop()) as made:
        yield made


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (KafkaError._MSG_TIMED_OUT, SlowCommitError),
        (KafkaError.MSG_SIZE_TOO_LARGE, TopicMismatchError),
        (KafkaError.RECORD_LIST_TOO_LARGE, TopicMismatchError),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, RefusedError),
        (KafkaError.KAFKA_STORAGE_ERROR, UnreachableError),
    ],
)
def test_errors(publisher: Publisher, code: int, expected: type[TidemarkError]) -> None:
    found = publisher._give_up(KafkaException(KafkaError(code)))
    assert type(found) is expected
    assert found.hint
