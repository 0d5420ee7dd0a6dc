"""What is noted beside offsets that go back, and how long deletes can be unread, without servers."""

from __future__ import annotations

import math
import time
from types import SimpleNamespace
from typing import Any, Self

import pytest
from confluent_kafka import TopicPartition

from events import ORDERS
from ops.settings import Settings
from schemas.table import Table
from sink import retention, rewind
from sink.commit import Committed, Sound
from sink.place import First
from sink.rewind import Rewind, Target

TABLE = Table(db="shop", name="orders", version=1, columns=ORDERS, primary_key=("id",), topic="t")
DAY_MS = 86_400_000
END = 50


class Places:
    """A topic of one partition; `unread`: the first record at or past the committed offset."""

    numbers = (0,)
    unread: First | None = None

    def __init__(self, *_: object) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def first(self, _number: int, _offset: int) -> First | None:
        return self.unread

    def low(self, _number: int) -> int:
        return 0

    def seq_below(self, _number: int, offset: int) -> int:
        return offset


@pytest.mark.parametrize("unread", [True, False])
@pytest.mark.parametrize("sound", [None, Sound(5, 5, 5), Sound(20, 20, 20)])
def test_the_clock_of_unread_deletes_runs_on(
    monkeypatch: pytest.MonkeyPatch, unread: bool, sound: Sound | None
) -> None:
    now_ms = int(time.time() * 1000)
    since_ms = now_ms - 6 * DAY_MS if unread else now_ms
    monkeypatch.setattr(Places, "unread", First(END, since_ms) if unread else None)
    noted = Committed("uuid", 9, now_ms - 30 * DAY_MS, now_ms - 7 * DAY_MS, sound).encode()
    monkeypatch.setattr(rewind, "Places", Places)
    monkeypatch.setattr(rewind, "retention_s", lambda *_: 7 * 86_400.0)
    monkeypatch.setattr(rewind, "committed", lambda *_: [TopicPartition("t", 0, END, noted)])
    work = Rewind(Settings.model_validate({"source": {"name": "shop"}, "kafka": {"bootstrap_servers": "127.0.0.1:1"}}))
    [move] = work._table(TABLE, "uuid", (), Target(offset=10))
    assert (move.new, move.noted.seq) == (10, 10)
    assert move.noted.sound == (sound if sound and sound.offset < 10 else None)
    assert abs(move.noted.began_ms - since_ms) < 60_000
    assert move.noted.read_ms == move.noted.began_ms


@pytest.mark.parametrize(
    ("policy", "kept_s"), [("compact", 60), ("compact,delete", 60), ("delete,compact", 60), ("delete", math.inf)]
)
def test_only_compaction_takes_deletes(monkeypatch: pytest.MonkeyPatch, policy: str, kept_s: float) -> None:
    values = {"cleanup.policy": policy, "delete.retention.ms": "60000"}
    told = {name: SimpleNamespace(value=value) for name, value in values.items()}
    monkeypatch.setattr(retention, "answer", lambda *_: told)
    client: Any = SimpleNamespace(describe_configs=lambda resources, **_: dict.fromkeys(resources))
    assert retention.retention_s(client, "t", "w") == kept_s
