"""When a Kafka transaction is committed, and what is counted of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cdc.opened import Bounds, Opened, Sizes
from cdc.pipeline import Pipeline
from cdc.source.seam import Batch, Ddl, DdlKind
from ops.health import Health
from ops.settings import CdcSettings, Settings
from ops.stop import Stop
from schemas.errors import DdlError
from schemas.position import Position

DDL = Ddl(kind=DdlKind.OTHER, db="d", tables=(), statement="ALTER TABLE d.t …", gtid="", file="bin.000001", pos=4)


def at(pos: int) -> Position:
    return Position(gtid_set="", file="bin.000001", pos=pos, server_uuid="", seq=pos)


def batch(pos: int, *, rows: int = 10, more: bool = False, ddl: Ddl | None = None) -> Batch:
    return Batch(records=(), position=at(pos), rows=rows, size_bytes=100 * rows, more=more, ddl=ddl)


def test_full_by_rows_by_bytes_and_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("cdc.opened.time.monotonic", lambda: now)
    for bounds in (Bounds(rows=20, bytes=10**9), Bounds(rows=10**9, bytes=2000)):
        opened = Opened(bounds, at(1))
        opened.add(batch(2), at(2))
        assert not opened.full
        opened.add(batch(3), at(3))
        assert opened.full
        assert opened.position == at(3)
    opened = Opened(Bounds(rows=10**9, bytes=10**9), at(1))
    now = 0.9
    assert not opened.full
    now = 1.1
    assert opened.full


def test_transactions_grow_while_they_go_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("cdc.opened.time.monotonic", lambda: now)
    sizes, seen = Sizes(Bounds(rows=80, bytes=10**9)), []
    for took_s in (0.1, 0.1, 0.1, 0.1, 5, 5, 5, 5, 0.1):
        opened = sizes.open(at(1))
        filled = next(count for count in range(1, 100) if opened.add(batch(1, rows=1), at(1)) or opened.full)
        seen.append(filled)
        now += took_s
        sizes.closed(opened)
    assert seen == [10, 20, 40, 80, 80, 40, 20, 10, 10]


def test_a_transaction_is_gathered_from_portions() -> None:
    bounds = Bounds.of(CdcSettings(), 1)
    assert bounds.portion.rows * 4 <= bounds.rows
    assert bounds.portion.bytes * 4 <= bounds.bytes
    assert Bounds.of(CdcSettings(max_batch_events=200), 0.5).portion.rows == 25
    assert Bounds.of(CdcSettings(max_batch_events=1), 1 / 64).portion == Bounds(rows=1, bytes=bounds.bytes // 64 // 4)


class _Session:
    """Commits as the publisher does, and remembers what it was asked for in which order."""

    def __init__(self, batches: list[Batch]) -> None:
        self._batches = batches
        self.open: Position | None = None
        self.did: list[str] = []

    def batches(self) -> Iterator[Batch]:
        yield from self._batches

    def publish(self, found: Batch) -> Position | None:
        self.did.append(f"publish {found.position.pos}")
        if found.ddl is not None:
            raise DdlError("refused")
        self.open = found.position
        return None if found.more else self.settle()

    def settle(self) -> Position | None:
        settled, self.open = self.open, None
        if settled is not None:
            self.did.append(f"commit {settled.pos}")
        return settled


@pytest.fixture
def pipeline() -> Pipeline:
    settings = Settings.model_validate({"source": {"name": "s"}, "kafka": {"bootstrap_servers": "127.0.0.1:1"}})
    return Pipeline(settings, Stop(), Health("cdc", "s"))


def test_what_is_open_at_the_end_is_committed(pipeline: Any) -> None:
    session = _Session([batch(1), batch(2, more=True), batch(3, more=True)])
    pipeline._publish(session)
    assert session.did == ["publish 1", "commit 1", "publish 2", "publish 3", "commit 3"]
    assert (pipeline._meter.details()["pos"], pipeline._meter.details()["rows"]) == (3, 30)


def test_what_comes_before_a_refused_statement_is_committed(pipeline: Any) -> None:
    session = _Session([batch(1, more=True), batch(2, ddl=DDL)])
    with pytest.raises(DdlError):
        pipeline._publish(session)
    assert session.did == ["publish 1", "commit 1", "publish 2"]
    assert (pipeline._meter.details()["pos"], pipeline._meter.details()["rows"]) == (1, 10)


def test_what_is_not_committed_is_not_counted(pipeline: Any) -> None:
    meter = pipeline._meter
    meter.session()
    with meter.publishing(batch(1)):
        pass
    meter.session()
    meter.moved(at(1))
    assert meter.details()["rows"] == 0
