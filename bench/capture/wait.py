"""Waiting for the mark behind a backlog."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaException

from bench.child import Child
from bench.errors import BenchError

_STEP_S = 0.5


def await_mark(reader: Consumer, child: Child, *, timeout_s: float, required: bool = True) -> float:
    """When a committed reader saw a record, in seconds since the epoch; 0 if it did not, and need not have."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        message = reader.poll(_STEP_S)
        if message is None:
            child.check()
        elif message.error() is not None:
            raise KafkaException(message.error())
        else:
            return time.time()
    if required:
        raise BenchError(f"not all was captured in {timeout_s:g} s:\n{child.tail()}", where=str(child.log))
    return 0.0
