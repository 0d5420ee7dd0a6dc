"""Letters of large rows are more than a client's queue holds at once."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ops.settings import Settings
from schemas.errors import UnreachableError
from sink import letterbox as letterbox_module
from sink.letterbox import Letterbox
from tidemark.rebuild import refusals

SETTINGS = Settings.model_validate({"source": {"name": "shop"}})


class SmallQueue:
    """Holds two records; delivers them when it is polled, unless Kafka is `away`."""

    def __init__(self, *, away: bool) -> None:
        self._away = away
        self._queue: list[tuple[bytes, Callable[[None, Any], None]]] = []
        self.taken: list[bytes] = []

    def produce(self, _topic: str, _value: bytes | None, *, key: bytes, headers: Any, on_delivery: Any) -> None:
        del headers
        if len(self._queue) == 2:
            raise BufferError("Local: Queue full")
        self._queue.append((key, on_delivery))

    def poll(self, _timeout_s: float) -> None:
        if not self._away:
            self.flush(1)

    def flush(self, _timeout_s: float) -> int:
        while self._queue:
            key, done = self._queue.pop(0)
            self.taken.append(key)
            done(None, SimpleNamespace(key=lambda key=key: key, offset=lambda: len(self.taken)))
        return 0


@pytest.fixture
def letterbox(monkeypatch: pytest.MonkeyPatch) -> Letterbox:
    monkeypatch.setattr(letterbox_module, "ControlReader", lambda *_: SimpleNamespace(close=lambda: None))
    return Letterbox(SETTINGS, "test")


def test_it_waits_for_room(letterbox: Letterbox, monkeypatch: pytest.MonkeyPatch) -> None:
    client = SmallQueue(away=False)
    monkeypatch.setattr(letterbox_module, "producer", lambda *_: client)
    keys = [b"%d" % number for number in range(7)]
    with letterbox:
        assert list(letterbox._write([(key, b"letter", 1) for key in keys])) == keys
    assert client.taken == keys


def test_it_does_not_wait_for_ever(letterbox: Letterbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letterbox_module, "producer", lambda *_: SmallQueue(away=True))
    monkeypatch.setattr(letterbox_module, "_FLUSH_S", 0.0)
    with letterbox, pytest.raises(UnreachableError, match="Kafka does not take"):
        letterbox._write([(b"%d" % number, b"letter", 1) for number in range(3)])


def test_a_rebuild_s_letters_are_moved_some_megabytes_at_a_time() -> None:
    letters: list[Any] = [SimpleNamespace(value="x" * (6 << 20)) for _ in range(7)]
    letters += [SimpleNamespace(value=None) for _ in range(1500)]
    assert [len(batch) for batch in refusals._batches(letters)] == [3, 3, 1000, 501]
