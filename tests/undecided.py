"""Holds back what readers of committed records see, as Kafka does between a commit's answer and its markers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from confluent_kafka import Producer

_TIMEOUT_S = 60


@contextmanager
def undecided(bootstrap_servers: str, topic: str, partitions: int) -> Iterator[Callable[[], None]]:
    """A transaction of somebody else's is open in each partition; gives what ends it, at the latest the block does."""
    client = Producer({"bootstrap.servers": bootstrap_servers, "transactional.id": f"undecided-{uuid.uuid4().hex}"})
    client.init_transactions(_TIMEOUT_S)
    client.begin_transaction()
    for partition in range(partitions):
        client.produce(topic, key=b'"nobody sees this"', partition=partition)
    assert client.flush(_TIMEOUT_S) == 0
    ended = False

    def end() -> None:
        nonlocal ended
        if not ended:
            client.abort_transaction(_TIMEOUT_S)
            ended = True

    try:
        yield end
    finally:
        end()
