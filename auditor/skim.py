"""Records to columns. A million take seconds only if little is done for each.

What is out of the ordinary is parsed whole, and judged there.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from confluent_kafka import Message

from auditor.columns import Columns
from auditor.decode import operation
from schemas.document import fingerprint_of
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


_decode = msgspec.json.Decoder(_Event).decode
Glance = tuple[int, int, int]  # op as a number, a delete's for whatever leaves no row; seq; commit time in ms


def glance(value: bytes) -> Glance | None:
    """Read an event; None if it is not of the shape that row changes have."""
    try:
        event = _decode(value)
        op = _DELETE if event.after is None else _OPS[event.op]
    except (ValueError, KeyError):  # msgspec's errors are ValueErrors
        return None
    return op, event.source.seq, event.source.ts_ms


class KeyTexts:
    """Row keys as `key_text` tells them, in UTF-8; a single number or plain text is cut out of the JSON."""

    __slots__ = ("_prefix",)

    def __init__(self) -> None:
        self._prefix = b"\n"  # begins no key

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
        made = Columns.empty()
        rows = []
        text, whole = self._texts.of, self._shape.selective or self._shape.foreign
        for message in messages:
            key, value = message.key(), message.value()
            seen = None if whole or value is None or not key or key == BARRIER_KEY else glance(value)
            if seen is None or not key:
                made.add(operation(message, self._shape))
                continue
            # The client's types say that both may be absent; of a message that was received they never are.
            part: int = message.partition()  # type: ignore[assignment]
            offset: int = message.offset()  # type: ignore[assignment]
            name = text(key)
            op, seq, ts_ms = seen
            rows.append(
                (name, part, offset, seq, op, ts_ms, 0 if op == _DELETE else fingerprint_of(name, part, offset))
            )
        for column, values in zip(made.table, zip(*rows, strict=True), strict=False):
            column.extend(values)
        return made
