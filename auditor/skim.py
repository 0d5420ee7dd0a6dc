"""Records to columns. A million take seconds only if little is done for each.

What is out of the ordinary is parsed whole, and judged there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from operator import not_
from typing import Annotated, Any, NamedTuple, cast

import msgspec
from confluent_kafka import Message

from auditor.columns import Columns, Packed
from auditor.decode import operation
from schemas.document import fingerprints_of
from schemas.extension import EXTENSION
from schemas.key import BARRIER_KEY, key_text
from schemas.shape import PLAIN, Shape

#: Makes columns of records that look as tidemark writes them; None where there is no extension.
_SKIM: Any = getattr(EXTENSION, "skim", None)
_OPS = {"c": ord("c"), "u": ord("u"), "r": ord("r")}
_DELETE = ord("d")
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Source(msgspec.Struct, gc=False):
    seq: _Number
    ts_ms: _Number


class _Row(msgspec.Struct, gc=False):
    """None of its columns is of interest."""


class _Event(msgspec.Struct, gc=False):
    """The rest of an event is passed over, and no object is made of it."""

    op: str
    after: _Row | None
    source: _Source


_decode = msgspec.json.Decoder(_Event).decode_lines


class Glance(NamedTuple):
    """What is read of events: ops as numbers, a delete's for whatever leaves no row; commit times in ms."""

    ops: list[int]
    seqs: list[int]
    times_ms: list[int]


def glance(values: Sequence[bytes]) -> Glance | None:
    """Read many events at once; None if one of them is not of the shape that row changes have."""
    # Then each is at least a line, and so, if there are as many lines as values, exactly one.
    if [value[:1] for value in values].count(b"{") != len(values):
        return None
    text = b"\n".join(values)
    try:
        text.decode()  # what is passed over is not looked at so closely
        events = _decode(text)
        ops = [_DELETE if event.after is None else _OPS[event.op] for event in events]
    except (ValueError, KeyError):  # msgspec's errors are ValueErrors
        return None
    if len(events) != len(values):
        return None
    return Glance(ops, [event.source.seq for event in events], [event.source.ts_ms for event in events])


def _texts(keys: Sequence[bytes]) -> list[bytes] | None:
    """As `key_text` tells them, in UTF-8; None if one is no row's."""
    try:
        return [key_text(key).encode() for key in keys]
    except (ValueError, TypeError, AttributeError):
        return None


class Skim:
    """Of one topic. Where a shape drops rows, or the records are not tidemark's, each of them is read whole."""

    def __init__(self, shape: Shape = PLAIN) -> None:
        self._shape = shape

    def columns(self, messages: Sequence[Message]) -> Columns:
        """Raises `FormatError` for a record that tidemark cannot have written."""
        if self._shape.selective or self._shape.foreign:
            return Columns.of(operation(message, self._shape) for message in messages)
        # The client's types say that parts of a message may be absent; of a change they never are.
        keys = cast("list[bytes]", [message.key() for message in messages])
        values = cast("list[bytes]", [message.value() for message in messages])
        if _SKIM is not None:
            return self._packed(messages, keys, values)
        if all(keys) and all(values) and BARRIER_KEY not in keys:
            return self._changes(messages, keys, values)
        usual = [bool(key and value) and key != BARRIER_KEY for key, value in zip(keys, values, strict=True)]
        some = list(compress(messages, usual))
        made = self._changes(some, list(compress(keys, usual)), list(compress(values, usual)))
        for message in compress(messages, map(not_, usual)):
            made.add(operation(message, self._shape))
        return made

    def _packed(self, messages: Sequence[Message], keys: list[bytes], values: list[bytes]) -> Columns:
        parts = [message.partition() for message in messages]
        offsets = [message.offset() for message in messages]
        rows, buffers, left = _SKIM(keys, values, parts, offsets)
        made = Columns.of(operation(messages[place], self._shape) for place in left)
        if rows:
            made.packed.append(Packed(rows, buffers))
        return made

    def _changes(self, messages: Sequence[Message], keys: list[bytes], values: list[bytes]) -> Columns:
        """Of records with a key and a value."""
        if (seen := glance(values)) is None or (texts := _texts(keys)) is None:
            return Columns.of(operation(message, self._shape) for message in messages)
        parts = cast("list[int]", [message.partition() for message in messages])
        offsets = cast("list[int]", [message.offset() for message in messages])
        fps = fingerprints_of(texts, parts, offsets)
        if _DELETE in seen.ops:
            fps = [0 if op == _DELETE else fp for op, fp in zip(seen.ops, fps, strict=True)]
        return Columns(texts, parts, offsets, seen.seqs, seen.ops, seen.times_ms, fps, [], [])
