"""Consumer groups, seen and changed by somebody who is no member."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from ops.kafka import answer, consumer, translate
from ops.settings import Settings

_NOT_THERE = (KafkaError.GROUP_ID_NOT_FOUND,)
_IN_USE = (KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION, KafkaError.NON_EMPTY_GROUP,
           KafkaError.REBALANCE_IN_PROGRESS, KafkaError.STALE_MEMBER_EPOCH)  # fmt: skip


def members(client: AdminClient, group: str, where: str, timeout_s: float = 15) -> list[str]:
    """Who and where they are; none if there is no such group. Raises a `TidemarkError`."""
    asked = client.describe_consumer_groups([group], request_timeout=timeout_s)[group]
    try:
        found = answer(asked, timeout_s, where, expected=_NOT_THERE)
    except KafkaException:
        return []
    return sorted({f"{member.client_id} at {member.host}" for member in found.members})


def commit_for(settings: Settings, group: str, places: list[TopicPartition], client_id: str) -> bool:
    """Commit for a group; false if it has members, who know better. Raises a `TidemarkError`, also if a part failed."""
    # A consumer that has not joined may commit only while nobody has: the broker itself holds members off.
    client = consumer(settings.kafka, client_id, group_id=group)
    try:
        done = client.commit(offsets=places, asynchronous=False) or ()
        error = next((place.error for place in done if place.error is not None), None)
    except KafkaException as failed:
        error = failed.args[0]
    finally:
        client.close()
    if error is None:
        return True
    if error.code() in _IN_USE:
        return False
    raise translate(error, settings.kafka.bootstrap_servers)
