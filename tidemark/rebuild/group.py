"""The consumer group of a rebuild, and that of the sink that goes on afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from ops.groups import commit_for, members
from ops.kafka import admin, answer, committed, metadata, topic_ids, translate
from ops.settings import Settings

_TIMEOUT_S = 15
_NOT_THERE = (KafkaError.GROUP_ID_NOT_FOUND,)


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
        return members(client, group, self._where, _TIMEOUT_S)

    def hand_over(self, group: str, to: str) -> bool:
        """Give a group the offsets of another, with what is noted beside them; false if it has members: they know best.

        Raises `UnreachableError`.
        """
        marks = [place for place in self._committed(group) if place.offset >= 0]
        return bool(marks) and commit_for(self._settings, to, marks, to)

    def begun(self, group: str) -> set[int]:
        """The partitions that a group has committed an offset of."""
        return set(self.passed(group))

    def passed(self, group: str) -> dict[int, int]:
        """Partition -> the offset that a group has committed, of those that it has one of."""
        return {place.partition: place.offset for place in self._committed(group) if place.offset >= 0}

    def topic_id(self) -> str:
        """Which topic of this name it is."""
        client = self._admin()
        return topic_ids(client, [self._topic], self._where).get(self._topic, "")

    def _committed(self, group: str) -> list[TopicPartition]:
        places = [TopicPartition(self._topic, number) for number in self._partitions]
        return committed(self._settings.kafka, group, places, _TIMEOUT_S)

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
