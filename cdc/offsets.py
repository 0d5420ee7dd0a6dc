"""Where partitions begin and end, asked for many at once: one request to each broker."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from ops.kafka import translate

_TIMEOUT_S = 10
_LEADER_S = 3
_POLL_S = 0.1
#: Of a partition that has just been created, or whose leader moves.
_NO_LEADER = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001  librdkafka's local errors begin with an underscore
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
}
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
    deadline = time.monotonic() + _LEADER_S
    try:
        while True:
            found = client.offsets_for_times(wanted, timeout=_TIMEOUT_S)
            wrong = next((part.error for part in found if part.error is not None), None)
            if wrong is None:
                return {(part.topic, part.partition): part.offset for part in found}
            if wrong.code() not in _NO_LEADER or time.monotonic() > deadline:
                raise translate(wrong, where)
            client.poll(_POLL_S)
    except KafkaException as error:
        raise translate(error, where) from error
