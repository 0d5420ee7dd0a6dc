"""Letters on a real broker."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from ops.settings import Settings
from schemas.deadletter import DeadLetter
from schemas.names import deadletter_topic
from servers import Kafka
from sink.bulk import Answer
from sink.deadletter import DeadLetters, letter_of
from sink.outcome import Outcome
from sink_kit import BASE, item_of, part_of

pytestmark = pytest.mark.stack


def letter(offset: int, size: int) -> DeadLetter:
    item = item_of(part_of(), offset, f"k{offset}", BASE + offset, note="".join(str(n) for n in range(size)))
    return letter_of(item, Answer(Outcome.POISON, 400, "document_parsing_exception", "why"))


def written(kafka: Kafka, topic: str) -> dict[int, DeadLetter]:
    """Offset of the event -> the last letter about it."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "t", "enable.auto.commit": False})
    try:
        end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)[1]
        consumer.assign([TopicPartition(topic, 0, 0)])
        found: dict[int, DeadLetter] = {}
        deadline = time.monotonic() + 30
        while consumer.position([TopicPartition(topic, 0)])[0].offset < end:
            assert time.monotonic() < deadline
            message = consumer.poll(1)
            if message is not None:
                read = DeadLetter.model_validate_json(message.value() or b"")
                found[read.offset] = read
        return found
    finally:
        consumer.close()


def test_the_broker_takes_less_than_the_letter(
    kafka: Kafka, make_settings: Callable[..., Settings], unique: str
) -> None:
    topic = deadletter_topic(unique)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_topics([NewTopic(topic, 1, 1, config={"max.message.bytes": "3000"})])[topic].result(60)
    letters = DeadLetters(make_settings(unique), unique)
    deadline = time.monotonic() + 60
    sizes = [10, 10_000, 20, 20_000, 30]
    letters.write([letter(n, size) for n, size in enumerate(sizes)], wanted=lambda: time.monotonic() < deadline)
    letters.close()
    found = written(kafka, topic)
    assert [found[n].value is None for n in range(5)] == [False, True, False, True, False]
    assert found[1].reason.startswith("(event left out)")
    admin.delete_topics([topic])[topic].result(60)
