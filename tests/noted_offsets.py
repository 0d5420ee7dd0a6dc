"""The offsets of a sink's group and what it notes beside them, set by hand."""

from __future__ import annotations

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from sink import commit
from sink_world import World


def alter_offsets(world: World, offsets: dict[int, tuple[int, str]]) -> None:
    """Partition -> offset and metadata."""
    parts = [TopicPartition(world.alias(), number, offset, text) for number, (offset, text) in offsets.items()]
    request = ConsumerGroupTopicPartitions(f"{world.name}-sink", parts)
    for future in world.source.admin.alter_consumer_group_offsets([request]).values():
        future.result(60)


def let_pass(world: World, seconds: int) -> None:
    """As if so much more time had passed since the group's commits. Nobody may be in the group."""

    def aged(text: str) -> str:
        noted = commit.decode(text, world.alias())
        ms = seconds * 1000
        read_ms = max(0, noted.read_ms - ms)
        sound = noted.sound and noted.sound._replace(read_ms=max(0, noted.sound.read_ms - ms))
        return noted._replace(began_ms=noted.began_ms - ms, read_ms=read_ms, sound=sound).encode()

    alter_offsets(world, {n: (part.offset, aged(part.metadata or "")) for n, part in world.commits().items()})
