"""Records of one partition on their way to one lane, as columns.

At 50,000 a second every object that a record needs until it is settled is seen in the bill. So they are read, and made
into lines of a request, while they are still in the processor's cache; after that they are handed on by the hundred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple, cast

from confluent_kafka import Message

from schemas.errors import FormatError
from schemas.event import SEQ_HEADER
from schemas.extension import EXTENSION
from schemas.record import Kind
from sink.action import Actions
from sink.part import Item, Part, item_of

_OBJECTS_BYTES = 256  # what a record weighs beside its value and its lines
_BARRIER = Kind.BARRIER


@dataclass(slots=True)
class Share:
    """`keys` are Kafka's; `values` are its values, and `lines` those of a request, each in one piece with their sizes.

    The size of a tombstone's value is -1; that of lines is 0 where the same share has a later event of the key, and
    where no document can be made of the event.
    `newest_ms`: the commit time of the newest row that came with them.
    """

    part: Part
    offsets: list[int] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    values: bytes = b""
    value_sizes: list[int] = field(default_factory=list)
    lines: bytes = b""
    line_sizes: list[int] = field(default_factory=list)
    newest_ms: int = 0
    _starts: list[int] | None = None  # of each value; known when one was asked for, which is the exception

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def weight(self) -> int:
        """About what it takes in memory."""
        return len(self.values) + len(self.lines) + len(self) * _OBJECTS_BYTES

    def cut(self, place: int) -> tuple[Share, Share]:
        """What is before a place, and the rest."""
        value = sum(size for size in self.value_sizes[:place] if size > 0)
        line = sum(self.line_sizes[:place])
        first, rest = (
            Share(
                self.part, self.offsets[piece], self.seqs[piece], self.keys[piece], values, self.value_sizes[piece],
                lines, self.line_sizes[piece], self.newest_ms,
            )
            for piece, values, lines in (
                (slice(place), self.values[:value], self.lines[:line]),
                (slice(place, None), self.values[value:], self.lines[line:]),
            )
        )  # fmt: skip
        return first, rest

    def item(self, place: int) -> Item:
        """One record, read again."""
        size, value, headers = self.value_sizes[place], None, [(SEQ_HEADER, b"%d" % self.seqs[place])]
        if size >= 0:
            if self._starts is None:
                self._starts = list(accumulate((max(before, 0) for before in self.value_sizes), initial=0))
            begin = self._starts[place]
            value = self.values[begin : begin + size]
        key, offset = self.keys[place], self.offsets[place]
        return item_of(self.part, offset, key, value, headers=headers, ts_ms=self.newest_ms)


class _Columns:
    """A share that is being made. `add_…` are a method of each list: there is no time to look them up every time."""

    def __init__(self) -> None:
        self._offsets: list[int] = []
        self._seqs: list[int] = []
        self._keys: list[bytes] = []
        self._values: list[bytes | None] = []
        self._lines: list[bytes] = []
        self.adders = (
            self._offsets.append, self._seqs.append, self._keys.append, self._values.append, self._lines.append,
        )  # fmt: skip

    def share(self, part: Part, newest_ms: int) -> Share:
        return Share(
            part=part,
            offsets=self._offsets,
            seqs=self._seqs,
            keys=self._keys,
            values=b"".join(filter(None, self._values)),
            value_sizes=[-1 if value is None else len(value) for value in self._values],
            lines=b"".join(self._lines),
            line_sizes=list(map(len, self._lines)),
            newest_ms=newest_ms,
        )


def share_of(items: Sequence[Item]) -> Share:
    """Items of one partition."""
    part, columns = items[0].part, _Columns()
    actions = Actions(part)
    add_offset, add_seq, add_key, add_value, add_lines = columns.adders
    for item in items:
        add_offset(item.offset)
        add_seq(item.seq)
        add_key(item.kafka_key)
        add_value(item.value)
        add_lines(actions.lines_or_none(item))
    return columns.share(part, max(item.ts_ms for item in items))


def lane_of(key: bytes, lanes: int) -> int:
    """Which lane a key goes to, always the same."""
    return hash(key) % lanes


class Intake(NamedTuple):
    """A share for every lane; `opened`: offset and seq of every record, in order."""

    shares: list[Share]
    opened: list[tuple[int, int]]


def intake(part: Part, messages: Sequence[Message], *, version: int, lanes: int) -> Intake | None:
    """Records for each lane, all of them read; None if there is one that needs a closer look.

    That is: a barrier, a record that is not ours or out of place, one of a later table version than `version`.
    """
    if EXTENSION is not None and part.shape.plain and not (part.shape.routed or part.shape.foreign):
        found = natively(EXTENSION, part, messages, version=version, lanes=lanes)
        if found is not None:
            return found
    return slowly(part, messages, version=version, lanes=lanes)


def natively(extension: Any, part: Part, messages: Sequence[Message], *, version: int, lanes: int) -> Intake | None:
    """The same by the extension, which leaves more: long keys, or with escapes, fields not named as their columns."""
    about = {"partition": part.number, "floor": part.floor, "version": version, "lanes": lanes}
    found = extension.intake(messages, {**about, **Actions(part).heads, "seq_header": SEQ_HEADER})
    if found is None:
        return None
    shares, opened = found
    return Intake([Share(part, *columns) for columns in shares], opened)


def slowly(part: Part, messages: Sequence[Message], *, version: int, lanes: int) -> Intake | None:
    """The same without the extension."""
    keys = [message.key() or b"" for message in messages]
    last = dict(zip(keys, range(len(keys)), strict=True))
    columns = [_Columns() for _ in range(lanes)]
    adders = [found.adders for found in columns]
    opened: list[tuple[int, int]] = []
    read, lines, floor, newest_ms = part.shape.read, Actions(part).lines_of, part.floor, 0
    try:
        for place, (key, message) in enumerate(zip(keys, messages, strict=True)):
            value, offset = message.value(), message.offset() or 0
            kind, text, seq, event, _ = read(
                key, value, cast("Any", message.headers()) if value is None else None, offset
            )
            ts_ms = 0
            if event is not None:
                source = event["source"]
                ts_ms = newest_ms = source["ts_ms"]
                if source["table_version"] > version:
                    return None
            if seq <= floor or kind is _BARRIER:
                return None
            opened.append((offset, seq))
            add_offset, add_seq, add_key, add_value, add_lines = adders[hash(key) % lanes]
            add_offset(offset)
            add_seq(seq)
            add_key(key)
            add_value(value)
            add_lines(lines(text, offset, seq, event, ts_ms, value) if last[key] == place else b"")
    except (FormatError, KeyError, TypeError, ValueError):
        return None
    return Intake([found.share(part, newest_ms) for found in columns], opened)
