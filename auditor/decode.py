"""One record of a table's topic as an operation. Pure."""

from __future__ import annotations

from typing import cast

from confluent_kafka import Message

from auditor.op import BARRIER, DELETE, Op
from schemas.record import Kind
from schemas.shape import Shape


def place(message: Message) -> tuple[int, int]:
    """Partition and offset."""
    # The client's types say that both may be absent; of a message that was received they never are.
    return cast("int", message.partition()), cast("int", message.offset())


def operation(message: Message, shape: Shape) -> Op:
    """What is left of its key, `shape` applied. Raises `FormatError` for what tidemark cannot have written."""
    value = message.value()
    headers = cast("list[tuple[str, bytes]] | None", message.headers()) if value is None else None
    found = shape.read(message.key(), value, headers, place(message)[1])
    event = found.event
    ts_ms = message.timestamp()[1] if event is None else event["source"]["ts_ms"]
    op = DELETE if event is None or found.kind is Kind.DELETE else event["op"]
    if found.kind is Kind.BARRIER:
        op = BARRIER
    elif shape.selective and event is not None and not shape.exists(event):
        op = DELETE
    return Op(found.key, *place(message), found.seq, op, ts_ms, found.below)
