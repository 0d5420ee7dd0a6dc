"""The consumer group of a rebuild, and that of the sink that goes on afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from ops.kafka import admin, answer, committed, consumer, metadata, translate
from ops.settings import Settings

_TIMEOUT_S = 15
_NOT_THERE = (KafkaError.GROUP_ID_NOT_FOUND,)
_IN_USE = (KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION,
           KafkaError.STALE_MEMBER_EPOCH)  # fmt: skip


class Groups:
    """Of one topic."""

    def __init__(self, settings: Settings, topic: str, partitions: Sequence[int]) -> None:
        self._settings = settings
        self._where = settings.kafka.bootstrap_servers
        self._topic = topic
        self._partitions = partitions

    def members(self, group: str) -> list[str]:
        """Where its members are; none if there is no such group."""
        client = self._admin()  # kept until the answer is there: it would take that with it
        asked = client.describe_consumer_groups([group], request_timeout=_TIMEOUT_S)[group]
        try:
            found = answer(asked, _TIMEOUT_S, self._where, expected=_NOT_THERE)
        except KafkaException:
            return []
        return [f"{member.client_id} on {member.host}" for member in found.members]

    def hand_over(self, group: str, to: str) -> bool:
        """Give a group the offsets of another, with what is noted beside them; false if it has members: they know best.

        Raises `UnreachableError`.
        """
        kafka = self._settings.kafka
        places = [TopicPartition(self._topic, number) for number in self._partitions]
        marks = [place for place in committed(kafka, group, places, _TIMEOUT_S) if place.offset >= 0]
        if not marks:
            return False
        client = consumer(kafka, to, group_id=to)
        try:
            # A commit from outside is taken only while the group has no members, so nobody is overtaken.
            client.commit(offsets=marks, asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() in _IN_USE:
                return False
            raise translate(error, self._where) from error
        finally:
            client.close()
        return True

    def delete(self, group: str) -> None:
        """Forget a group, if it is there."""
        client = self._admin()
        asked = client.delete_consumer_groups([group], request_timeout=_TIMEOUT_S)[group]
        try:
            answer(asked, _TIMEOUT_S, self._where, expected=_NOT_THERE)
        except KafkaException:
            return

    def _admin(self) -> AdminClient:
        client = admin(self._settings.kafka, f"{self._settings.source.name}-rebuild")
        # An admin request that meets a broker that is away can end the process (see ops.kafka.topic_ids).
        found = metadata(client, self._topic, self._where, _TIMEOUT_S)
        if found.error is not None:
            raise translate(found.error, self._where)
        return client
