"""Records to columns. A million take seconds only if little is done for each.

What is out of the ordinary is parsed whole, and judged there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from operator import not_
from typing import NamedTuple, cast

import msgspec
from confluent_kafka import Message

from auditor.columns import Columns
from auditor.decode import operation
from schemas.document import fingerprints_of
from schemas.key import BARRIER_KEY, key_text
from schemas.shape import PLAIN, Shape

_OPS = {"c": ord("c"), "u": ord("u"), "r": ord("r")}
_DELETE = ord("d")


class _Source(msgspec.Struct, gc=False):
    seq: int
    ts_ms: int


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
    try:
        events = _decode(b"\n".join(values))
        ops = [_DELETE if event.after is None else _OPS[event.op] for event in events]
    except (ValueError, KeyError):  # msgspec's errors are ValueErrors
        return None
    if len(events) != len(values):
        return None
    return Glance(ops, [event.source.seq for event in events], [event.source.ts_ms for event in events])


class KeyTexts:
    """Row keys as `key_text` tells them, in UTF-8; a single number or plain text is cut out of the JSON."""

    __slots__ = ("_prefix",)

    def __init__(self) -> None:
        self._prefix = b"\n"  # begins no key

    def all(self, keys: Sequence[bytes]) -> list[bytes]:
        """As many texts as there are keys. Raises what `key_text` raises."""
        size = len(self._prefix)
        inner = [key[size:-1] for key in keys]
        if [key[:size] for key in keys].count(self._prefix) == len(keys) and all(inner) and b"".join(inner).isdigit():
            return inner
        return [self.of(key) for key in keys]

    def of(self, key: bytes) -> bytes:
        """Raises what `key_text` raises."""
        if not key.startswith(self._prefix) and not self._learn(key):
            return key_text(key).encode()
        inner = key[len(self._prefix) : -1]
        if inner.isdigit():
            return inner
        return _plain(inner) or key_text(key).encode()

    def _learn(self, key: bytes) -> bool:
        head, colon, _ = key.partition(b'":')
        if not colon or not head.startswith(b'{"') or b"\\" in head:
            return False
        self._prefix = head + colon
        return True


def _plain(inner: bytes) -> bytes | None:
    text = inner[1:-1]
    plain = inner[:1] == inner[-1:] == b'"' and b'"' not in text and b"\\" not in text
    return text if plain else None


class Skim:
    """Of one topic: what the keys of its table begin with is learned.

    A shape that drops rows has to see them whole, and only records of tidemark's are read by members.
    """

    def __init__(self, shape: Shape = PLAIN) -> None:
        self._shape = shape
        self._texts = KeyTexts()

    def columns(self, messages: Sequence[Message]) -> Columns:
        """Raises `FormatError` for a record that tidemark cannot have written."""
        if self._shape.selective or self._shape.foreign:
            return Columns.of(operation(message, self._shape) for message in messages)
        # The client's types say that parts of a message may be absent; of a change they never are.
        keys = cast("list[bytes]", [message.key() for message in messages])
        values = cast("list[bytes]", [message.value() for message in messages])
        if all(keys) and all(values) and BARRIER_KEY not in keys:
            return self._changes(messages, keys, values)
        usual = [bool(key and value) and key != BARRIER_KEY for key, value in zip(keys, values, strict=True)]
        some = list(compress(messages, usual))
        made = self._changes(some, list(compress(keys, usual)), list(compress(values, usual)))
        for message in compress(messages, map(not_, usual)):
            made.add(operation(message, self._shape))
        return made

    def _changes(self, messages: Sequence[Message], keys: list[bytes], values: list[bytes]) -> Columns:
        """Of records with a key and a value."""
        if (seen := glance(values)) is None:
            return Columns.of(operation(message, self._shape) for message in messages)
        texts = self._texts.all(keys)
        parts = cast("list[int]", [message.partition() for message in messages])
        offsets = cast("list[int]", [message.offset() for message in messages])
        fps = fingerprints_of(texts, parts, offsets)
        if _DELETE in seen.ops:
            fps = [0 if op == _DELETE else fp for op, fp in zip(seen.ops, fps, strict=True)]
        return Columns(texts, parts, offsets, seen.seqs, seen.ops, seen.times_ms, fps, [])
