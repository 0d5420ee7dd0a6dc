"""The core loop: when it counts as ready, and what it does with what is left at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest

from binlog_events import SERVER, Binlog
from cdc import pipeline as core
from cdc.pipeline import Pipeline
from cdc.source import portable
from cdc.source.options import Limits, SourceOptions
from cdc.source.portable import PortableSource
from cdc.source.seam import Batch
from cdc.source.server_facts import ServerFacts
from ops.health import Health
from ops.settings import Settings
from ops.stop import Stop
from runner import until
from schemas.errors import SlowCommitError
from schemas.position import Position

START = Position(gtid_set=f"{SERVER}:1-4", file="bin.000001", pos=4, server_uuid=str(SERVER), seq=1024)


class _Session:
    """`fails`: how many of the first batches cannot be published."""

    def __init__(self, stop: Stop, health: Health, fails: int = 0) -> None:
        self._stop, self._health, self._fails = stop, health, fails
        self.ready_before: list[bool] = []

    def batches(self) -> Iterator[Batch]:
        for _ in range(3):
            yield Batch(records=(), position=START)
        self._stop.request("a test")
        yield Batch(records=(), position=START)
        pytest.fail("it should have stopped")

    def publish(self, batch: Batch) -> Position:
        self.ready_before.append(self._health.ready)
        if len(self.ready_before) <= self._fails:
            raise SlowCommitError("slow")
        return batch.position

    def begin(self) -> Position:
        return START

    def settle(self) -> None:
        return None


@pytest.fixture
def pipeline() -> tuple[Pipeline, Stop, Health]:
    settings = Settings.model_validate({"source": {"name": "s"}, "kafka": {"bootstrap_servers": "127.0.0.1:1"}})
    stop, health = Stop(), Health("cdc", "s")
    return Pipeline(settings, stop, health), stop, health


def test_ready_means_published(pipeline: Any) -> None:
    made, stop, health = pipeline
    with pytest.raises(SlowCommitError):
        made._publish(_Session(stop, health, fails=1))
    assert (health.ready, health.ups) == (False, 0)
    session = _Session(stop, health)
    made._publish(session)
    assert session.ready_before[:3] == [False, True, True]
    assert (health.ready, health.state, health.reason) == (False, "stopping", "stopping")


class _Opener:
    """Opens a session that fails, or nothing at all."""

    def __init__(self, session: _Session | None) -> None:
        self.share = 1.0
        self._session = session

    @contextmanager
    def session(self) -> Iterator[_Session]:
        if self._session is None:
            raise SlowCommitError("slow")
        yield self._session


def test_after_a_slow_commit_batches_are_smaller_and_grow_again_in_time(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, stop, health = pipeline
    made._opener = _Opener(_Session(stop, health, fails=7))
    for wanted in (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 64):
        with pytest.raises(SlowCommitError):
            made.run()
        assert made._opener.share == wanted
    made._opener._session = None  # the claim is slow: no batch is to blame
    with pytest.raises(SlowCommitError):
        made.run()
    assert made._opener.share == 1 / 64
    session = _Session(stop, health)
    monkeypatch.setattr(core, "_GROW_AFTER_S", -1)
    for wanted in (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1):
        assert made._publish(session)
        assert made._opener.share == wanted
    assert not made._publish(session)


def test_a_stop_is_told_at_once(pipeline: Any) -> None:
    _, stop, health = pipeline
    health.up()
    stop.request("a test")
    until(lambda: health.state == "stopping", "the state", 5)


class _Stream:
    """Gives the events of a transaction, during the last of which the source is closed."""

    server = ServerFacts()
    source: PortableSource

    def __init__(self, *_: object, **__: object) -> None:
        log = Binlog()
        self._events = [*log.start(), *log.transaction(5, (1, 10))]

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def get(self, _timeout_s: float) -> bytes | None:
        if len(self._events) == 1:
            self.source.close()
        return self._events.pop(0)


class _Router:
    def captures(self, _db: str, _table: str) -> bool:
        return True

    def topic(self, db: str, table: str) -> str:
        return f"s.{db}.{table}"

    def partitions(self, _topic: str) -> int:
        return 2


def test_what_is_gathered_when_the_source_is_closed_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portable, "DumpStream", _Stream)
    source = _Stream.source = PortableSource(
        SourceOptions(
            connect={}, name="s", router=_Router(), known={}, server_id=1, heartbeat_s=60, read_timeout_s=60,
            limits=Limits(event_bytes=1 << 20), linger_s=60,
        )
    )  # fmt: skip
    *_, batch = source.batches(START)  # the first one only says that the stream flows
    assert [orjson.loads(record.value or b"")["after"] for record in batch.records] == [{"id": 1, "a": 10}]
    assert batch.position.gtid_set == f"{SERVER}:1-5"
