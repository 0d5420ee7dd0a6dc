"""Where partitions begin and end, asked for many at once: one request to each broker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, TopicPartition

from ops.kafka import translate

_TIMEOUT_S = 10
BEGINNING: Final = OFFSET_BEGINNING
END: Final = OFFSET_END


def offsets(client: Consumer, parts: Iterable[tuple[str, int]], which: int, where: str) -> dict[tuple[str, int], int]:
    """(topic, partition) -> its first offset, or its end: the last stable one for a reader of committed records.

    `which`: `BEGINNING` or `END`. Raises a `TidemarkError`.
    """
    # The times -1 and -2 stand for them in Kafka's protocol. `AdminClient.list_offsets` asks the same, but like other
    # admin requests it can end the process when a broker is away (see `ops.kafka.topic_ids`): just when this is asked.
    wanted = [TopicPartition(topic, number, which) for topic, number in parts]
    if not wanted:
        return {}
    try:
        found = client.offsets_for_times(wanted, timeout=_TIMEOUT_S)
    except KafkaException as error:
        raise translate(error, where) from error
    if wrong := next((part.error for part in found if part.error is not None), None):
        raise translate(wrong, where)
    return {(part.topic, part.partition): part.offset for part in found}
