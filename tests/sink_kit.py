"""Parts and items for tests of the sink without Kafka."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from ops.settings import SinkSettings
from schemas.deadletter import DeadLetter
from schemas.key import kafka_key
from schemas.record import Kind
from schemas.shape import PLAIN, Shape
from sink.bound import Bound
from sink.lanes import Lanes
from sink.lease import Lease
from sink.offsets import Mark
from sink.part import Item, Part
from sink.settle import Settler, Tools
from sink.share import Share, lane_of, share_of
from sink.trouble import Fault, Troubles

BASE = 1 << 50


class Letters:
    """Keeps the letters; `fails` many times it does not. `late`: those after which it was told that they are not ours.

    `meanwhile` happens while they are written.
    """

    def __init__(self, fails: Sequence[Exception] = (), meanwhile: Callable[[], object] = lambda: None) -> None:
        self.written: list[DeadLetter] = []
        self.late: list[DeadLetter] = []
        self.fails = list(fails)
        self.meanwhile = meanwhile

    def write(
        self, letters: Sequence[DeadLetter], *, wanted: Callable[[], bool], ours: Callable[[], bool] = lambda: True
    ) -> None:
        if self.fails:
            raise self.fails.pop(0)
        self.written += letters
        self.meanwhile()
        if not ours():
            self.late += letters


class Message:
    """As the Kafka client hands it over."""

    def __init__(self, offset: int, key: bytes | None, value: bytes | None, headers: Any = None) -> None:
        self._offset, self._key, self._value, self._headers = offset, key, value, headers

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> Any:
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        return 1, 5000 + self._offset


def part_of(number: int = 0, start: int = 0, topic: str = "shop.shop.orders", shape: Shape = PLAIN) -> Part:
    return Part(
        topic=topic, number=number, topic_id="uuid", table="shop.orders", alias=topic, start=Mark(start, 0), began_ms=0,
        shape=shape,
    )  # fmt: skip


def item_of(part: Part, offset: int, key: str, seq: int, *, delete: bool = False, note: Any = "n") -> Item:
    """An item, opened in its part."""
    part.offsets.opened([(offset, seq)])
    after = None if delete else {"id": key, "note": note}
    source = {"seq": seq, "table_version": 1, "ts_ms": 1000 + offset}
    value = orjson.dumps({"op": "d" if delete else "c", "source": source, "after": after})
    return Item(
        part=part, offset=offset, kind=Kind.DELETE if delete else Kind.UPSERT, key=key, seq=seq, after=after, version=1,
        below=0, ts_ms=1000 + offset, kafka_key=raw_key(key), value=value, size=len(value or b"") + 10,
    )  # fmt: skip


def raw_key(key: str) -> bytes:
    return kafka_key({"id": key})


def tools_of(client: Any, **overrides: Any) -> Tools:
    defaults: dict[str, Any] = {
        "client": client, "settings": SinkSettings(lanes=2, linger_s=0.01), "lease": Lease(120), "troubles": Troubles(),
        "fault": Fault(), "letters": Letters(), "verify": lambda _alias: None,
    }  # fmt: skip
    found = Tools(**{**defaults, **overrides})
    found.lease.renew(time.monotonic())
    return found


def settler_of(tools: Tools, closing: threading.Event | None = None) -> Settler:
    return Settler("lane", tools, Bound(tools.settings.max_batch_bytes), closing or threading.Event())


def batch_of(items: Sequence[Item]) -> list[Share]:
    """What a lane takes at once."""
    parts: dict[Part, list[Item]] = {}
    for item in items:
        parts.setdefault(item.part, []).append(item)
    return [share_of(found) for found in parts.values()]


def settle(settler: Settler, items: Sequence[Item]) -> None:
    """Settle one batch."""
    settler.settle(batch_of(items))


def put(lanes: Lanes, item: Item) -> None:
    lanes.put(lane_of(item.kafka_key, lanes.count), share_of([item]))
