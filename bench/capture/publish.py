"""Publishing alone: the same bytes, transactions and client settings; the messages are made before the clock runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import cycle

from bench.capture.backlog import Backlog
from bench.capture.decode import batches
from bench.capture.topics import Topics
from bench.errors import BenchError
from bench.servers import Servers
from cdc.opened import Bounds, Opened
from cdc.runs import Run, runs
from ops.kafka import producer
from ops.settings import CdcSettings, KafkaSettings

_HELD_BYTES = 256 << 20  # of the backlog's messages; they are sent again until its rows are reached
_TIMEOUT_S = 60

Transaction = Sequence[Run]


def publish(servers: Servers, topics: Topics, backlog: Backlog, cdc: CdcSettings) -> tuple[float, float]:
    """Seconds, and seconds of CPU, for as many rows as the backlog has."""
    held = _transactions(servers, backlog, cdc)
    prefix = f"limits_{backlog.db}"
    topics.make(f"{prefix}.{backlog.db}.events", f"{prefix}.{backlog.db}.done")
    try:
        return _send(servers, prefix, held, backlog.rows)
    finally:
        topics.remove(prefix)


def _send(servers: Servers, name: str, held: Sequence[Transaction], rows: int) -> tuple[float, float]:
    client = producer(KafkaSettings(bootstrap_servers=servers.kafka), name, transactional_id=name)
    client.init_transactions(_TIMEOUT_S)
    began, cpu, sent = time.perf_counter(), time.process_time(), 0
    for transaction in cycle(held):
        client.begin_transaction()
        for run in transaction:
            queued = client.produce_batch(run.topic, run.messages, partition=run.partition)
            if queued != len(run.messages):
                raise BenchError(f"Kafka's client took {queued} of {len(run.messages)} records")
            sent += queued
            client.poll(0)
        client.commit_transaction(_TIMEOUT_S)
        if sent >= rows:
            break
    return (time.perf_counter() - began) * rows / sent, (time.process_time() - cpu) * rows / sent


def _transactions(servers: Servers, backlog: Backlog, cdc: CdcSettings) -> Sequence[Transaction]:
    held: list[list[Run]] = []
    opened, size = None, 0
    for batch in batches(servers.mysql, backlog, cdc):
        if opened is None or opened.full:
            opened = Opened(Bounds.of(cdc, 1), batch.position)
            held.append([])
        opened.add(batch, batch.position)
        held[-1] += [item for item in runs(batch.records) if isinstance(item, Run)]
        size += batch.size_bytes
        if size >= _HELD_BYTES:
            break
    return held
