"""A partition that this process owns, and the records that it takes from it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast

from confluent_kafka import Message

from schemas.errors import FormatError
from schemas.record import Kind
from schemas.shape import PLAIN, Shape
from sink.commit import Committed, Sound
from sink.freshness import Freshness
from sink.offsets import Mark, Offsets


class Part:
    """One partition of a table's topic, from its assignment to its end.

    `owned` turns false at once when the group takes the partition away; nothing of it is sent or committed after that.
    `wait`, if set, says whether reading may go on; meanwhile items are `held` in order. `passed`: offset of the last
    barrier that was dealt with. `floor`: every record from here on has a higher seq. `vacant`: the index was seen to
    hold nothing of it, which is asked where there is no commit. `stale_position`: the consumer's, from before it was
    ours; -1 if it is none. `shape` makes its documents. `sound`: what could have been committed, `read_ms` and mark,
    when the alias was last seen to lead to our index; `begins`: where, by the last commit, the next sink begins.
    """

    __slots__ = (
        "alias", "began_ms", "begins", "committed", "floor", "freshness", "held", "next_age_check", "number", "offsets",
        "owned", "passed", "shape", "sound", "stale_position", "table", "topic", "topic_id", "vacant", "wait",
    )  # fmt: skip

    def __init__(
        self,
        *,
        topic: str,
        number: int,
        topic_id: str,
        table: str,
        alias: str,
        start: Mark,
        began_ms: int,
        read_ms: int = 0,
        shape: Shape = PLAIN,
    ) -> None:
        self.topic = topic
        self.number = number
        self.topic_id = topic_id
        self.table = table
        self.alias = alias
        self.shape = shape
        self.offsets = Offsets(start)
        self.sound = read_ms, start
        self.begins = start.offset
        self.floor = start.seq
        self.began_ms = began_ms
        self.freshness = Freshness(read_ms)
        self.committed: Mark | None = None
        self.vacant = False
        self.owned = True
        self.wait: Callable[[], bool] | None = None
        self.held: deque[Item] = deque()
        self.passed = -1
        self.stale_position = -1
        self.next_age_check = 0.0

    @property
    def where(self) -> str:
        return f"{self.topic}[{self.number}]"

    @property
    def in_lanes(self) -> int:
        """How many items are neither settled nor held back here."""
        return self.offsets.open - len(self.held)

    def is_committed(self, mark: Mark) -> bool:
        """True if a commit would say nothing new."""
        return mark == self.committed and self.begins >= self.begin(mark)

    def begin(self, mark: Mark) -> int:
        """Where the next sink begins, if this is committed now."""
        return min(mark.offset, self.sound[1].offset)

    def metadata(self, mark: Mark) -> str:
        """What is committed with a mark."""
        read_ms, sound = self.sound
        begin = Sound(sound.offset, sound.seq, read_ms) if sound.offset < mark.offset else None
        return Committed(self.topic_id, mark.seq, self.began_ms, self.freshness.read_ms, begin).encode()


class Item(NamedTuple):
    """One record, read. `after`: the row, None for a delete; `version`: of the table, 0 for a tombstone.

    `below` is a barrier's limit; `size`: bytes of key and value.
    """

    part: Part
    offset: int
    kind: Kind
    key: str
    seq: int
    after: dict[str, Any] | None
    version: int
    below: int
    ts_ms: int
    kafka_key: bytes
    value: bytes | None
    size: int


def item_of(
    part: Part,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    *,
    headers: Iterable[tuple[str, Any]] = (),
    ts_ms: int = 0,
) -> Item:
    """Read a record; its `before` is let go. `ts_ms`: a tombstone's. Raises `FormatError` for what is not ours."""
    where = f"{part.where} at offset {offset}"
    try:
        kind, text, seq, event, below = part.shape.read(key, value, headers, offset)
        raw, size = key or b"", len(key or b"") + len(value or b"")
        if event is None:
            return Item(part, offset, kind, text, seq, None, 0, below, ts_ms, raw, None, size)
        source = event["source"]
        version, ts_ms = int(source["table_version"]), int(source["ts_ms"])
        return Item(part, offset, kind, text, seq, event.get("after"), version, below, ts_ms, raw, value, size)
    except FormatError as error:
        raise FormatError(error.what, where=where, hint=error.hint) from None
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"not a change event: {type(error).__name__}: {error}", where=where) from None


def item_in(part: Part, message: Message) -> Item:
    """Read a message."""
    headers, ts_ms = cast("Any", message.headers()) or (), message.timestamp()[1]
    return item_of(part, message.offset() or 0, message.key(), message.value(), headers=headers, ts_ms=ts_ms)
