"""Records of one partition on their way to one lane, as columns.

At 50,000 a second every object that a record needs until it is settled is seen in the bill. So they are read, and made
into lines of a request, while they are still in the processor's cache; after that they are handed on by the hundred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from confluent_kafka import Message

from schemas.errors import FormatError
from schemas.event import SEQ_HEADER
from schemas.record import Kind, read
from sink.action import Actions
from sink.part import Item, Part, item_of

_OBJECTS_BYTES = 512  # what a record weighs beside its bytes and its lines
_BARRIER = Kind.BARRIER


@dataclass(slots=True)
class Share:
    """`keys` and `values` are Kafka's; `lines` are those of a request, None where the same share has a later event.

    `newest_ms`: the commit time of the newest row that came with them; `size`: bytes of keys and values.
    """

    part: Part
    offsets: list[int] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    lines: list[bytes | None] = field(default_factory=list)
    newest_ms: int = 0
    size: int = 0

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def weight(self) -> int:
        """About what it takes in memory: the lines are hardly larger than the record."""
        return self.size * 2 + len(self) * _OBJECTS_BYTES

    def measure(self) -> None:
        """Once it is complete."""
        self.size = sum(map(len, self.keys)) + sum(map(len, filter(None, self.values)))

    def sizes(self) -> list[int]:
        return [len(key) + len(value or b"") for key, value in zip(self.keys, self.values, strict=True)]

    def add(self, item: Item, lines: bytes) -> None:
        self.offsets.append(item.offset)
        self.seqs.append(item.seq)
        self.keys.append(item.kafka_key)
        self.values.append(item.value)
        self.lines.append(lines)
        self.newest_ms = max(self.newest_ms, item.ts_ms)

    def extend(self, other: Share) -> None:
        """What came later, of the same partition."""
        self.offsets += other.offsets
        self.seqs += other.seqs
        self.keys += other.keys
        self.values += other.values
        self.lines += other.lines
        self.newest_ms = max(self.newest_ms, other.newest_ms)
        self.size += other.size

    def cut(self, piece: slice) -> Share:
        """Some of it."""
        found = Share(
            self.part, self.offsets[piece], self.seqs[piece], self.keys[piece], self.values[piece], self.lines[piece],
            self.newest_ms,
        )  # fmt: skip
        found.measure()
        return found

    def item(self, place: int) -> Item:
        """One record, read again."""
        value = self.values[place]
        headers = () if value is not None else ((SEQ_HEADER, b"%d" % self.seqs[place]),)
        key, offset = self.keys[place], self.offsets[place]
        return item_of(self.part, offset, key, value, headers=headers, ts_ms=self.newest_ms)


def share_of(items: Sequence[Item]) -> Share:
    """Items of one partition."""
    share = Share(items[0].part)
    actions = Actions(share.part)
    for item in items:
        share.add(item, actions.lines(item))
    share.measure()
    return share


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
    keys = [message.key() or b"" for message in messages]
    last = dict(zip(keys, range(len(keys)), strict=True))
    shares = [Share(part) for _ in range(lanes)]
    columns = [
        (share.offsets.append, share.seqs.append, share.keys.append, share.values.append, share.lines.append)
        for share in shares
    ]
    opened: list[tuple[int, int]] = []
    lines, floor, newest_ms = Actions(part).lines_of, part.floor, 0
    try:
        for place, (key, message) in enumerate(zip(keys, messages, strict=True)):
            value, offset = message.value(), message.offset() or 0
            kind, text, seq, event, _ = read(key, value, cast("Any", message.headers()) if value is None else None)
            after, ts_ms = None, 0
            if event is not None:
                source, after = event["source"], event.get("after")
                ts_ms = newest_ms = source["ts_ms"]
                if source["table_version"] > version:
                    return None
            if seq <= floor or kind is _BARRIER:
                return None
            opened.append((offset, seq))
            add_offset, add_seq, add_key, add_value, add_lines = columns[hash(key) % lanes]
            add_offset(offset)
            add_seq(seq)
            add_key(key)
            add_value(value)
            add_lines(lines(text, offset, seq, after, ts_ms) if last[key] == place else None)
    except (FormatError, KeyError, TypeError, ValueError):
        return None
    for found in shares:
        found.newest_ms = newest_ms
        found.measure()
    return Intake(shares, opened)
