"""Records of a transaction that Kafka has forgotten: a broker that was killed can lose which partitions one had.

Nobody who reads committed records sees them, until the next commit of the same producer marks them as committed with
its own: then events stand twice. Seen with Kafka 4.3, after a kill -9 in the middle of a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

from confluent_kafka import Consumer, KafkaException, TopicPartition

from ops.kafka import consumer, translate
from ops.settings import KafkaSettings

_TIMEOUT_S = 10


def hanging(settings: KafkaSettings, source: str, parts: Iterable[tuple[str, int]]) -> list[TopicPartition]:
    """The partitions that hold records of a transaction that has not ended. Raises `UnreachableError`."""
    client_id = f"{source}-hanging"
    with (
        closing(consumer(settings, client_id)) as stable,
        closing(consumer(settings, client_id, isolation_level="read_uncommitted")) as whole,
    ):
        places = [TopicPartition(topic, number) for topic, number in parts]
        try:
            return [place for place in places if _end(stable, place) < _end(whole, place)]
        except KafkaException as error:
            raise translate(error, settings.bootstrap_servers) from error


def _end(client: Consumer, place: TopicPartition) -> int:
    end: int = client.get_watermark_offsets(place, timeout=_TIMEOUT_S)[1]
    return end
