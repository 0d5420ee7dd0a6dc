"""Waits until Kafka has said of each record that is in a topic now whether it is committed.

Kafka answers a commit before it has written the end of the transaction into each of its partitions. So a position that
is visible does not mean that the events of the same transaction are, in other partitions.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing

from confluent_kafka import KafkaException, TopicPartition

from auditor.run_context import Context
from auditor.topic import Topic
from ops.kafka import consumer, translate
from schemas.errors import LaggingError

_META_TIMEOUT_S = 15
_POLL_S = 0.1


def decided(context: Context, topic: Topic) -> dict[int, int]:
    """Partition -> last stable offset, once it is past every record that is there when this is called.

    Raises `LaggingError` if a transaction stays open for longer than `[audit] wait_s`.
    """
    deadline = time.monotonic() + context.settings.audit.wait_s
    written = _written(context, topic.name, topic.partitions())
    while True:
        stable = topic.ends(written)
        undecided = [part for part, end in written.items() if stable[part] < end]
        if not undecided:
            return stable
        context.pulse()
        if time.monotonic() > deadline:
            raise _hanging(topic.name, undecided[0])
        context.stop.wait(_POLL_S)


def _written(context: Context, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """Partition -> end of what was written to it, committed or not."""
    settings = context.settings.kafka
    with closing(consumer(settings, context.client_id, isolation_level="read_uncommitted")) as client:
        try:
            return {
                part: client.get_watermark_offsets(TopicPartition(topic, part), timeout=_META_TIMEOUT_S)[1]
                for part in partitions
            }
        except KafkaException as error:
            raise translate(error, settings.bootstrap_servers) from error


def _hanging(topic: str, partition: int) -> LaggingError:
    return LaggingError(
        f"a transaction in partition {partition} of {topic} does not end",
        where=topic,
        hint=f"`kafka-transactions.sh --bootstrap-server … describe-producers --topic {topic} --partition {partition}` "
        "tells whose it is (docs/errors/lagging.md); give it longer with [audit] wait_s.",
    )
