"""Records to columns. A million take seconds only if little is done for each.

What is out of the ordinary is parsed whole, and judged there.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from confluent_kafka import Message

from auditor.columns import Columns
from auditor.decode import operation
from schemas.document import fingerprint_of
from schemas.key import BARRIER_KEY, key_text
from schemas.shape import PLAIN, Shape

_WIDE_BYTES = 1500  # from here on it pays to parse the end of an event only
_HEAD = b'{"before":'
_SOURCE = b',"source":{'
_NO_ROW = b'"after":null'
_BRACE = ord("}")
_UPSERTS = {"c": ord("c"), "u": ord("u"), "r": ord("r")}
_DELETE = ord("d")


Glance = tuple[int, int, int]  # op as a number, a delete's for whatever leaves no row; seq; commit time in ms


def glance(value: bytes) -> Glance | None:
    """Read an event; None if it is not of the shape that row changes have."""
    try:
        if len(value) < _WIDE_BYTES:
            event = orjson.loads(value)
            gone = event["after"] is None
        else:
            at = value.rfind(_SOURCE)
            gone = value.endswith(_NO_ROW, 0, at)
            if at < 0 or not (gone or value[at - 1] == _BRACE) or not value.startswith(_HEAD):
                return None
            # This parses only if braces balance from there on, so it is the event's own `source`, not one in a row.
            event = orjson.loads(b"{" + value[at + 1 :])
        source = event["source"]
        seq, ts_ms, op = source["seq"], source["ts_ms"], _DELETE if gone else _UPSERTS[event["op"]]
    except (ValueError, KeyError, TypeError):
        return None
    return (op, seq, ts_ms) if type(seq) is type(ts_ms) is int else None


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
    """Of one topic: what the keys of its table begin with is learned. A shape that drops rows has to see them whole."""

    def __init__(self, shape: Shape = PLAIN) -> None:
        self._shape = shape
        self._texts = KeyTexts()

    def columns(self, messages: Sequence[Message]) -> Columns:
        """Raises `FormatError` for a record that tidemark cannot have written."""
        made = Columns.empty()
        rows = []
        text, whole = self._texts.of, self._shape.selective
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
