"""In what order what hangs in Kafka is ended, and when it is called another producer's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from cdc import takeover as module
from cdc.hanging import Held, Place
from cdc.position_store import Instance, PositionStore, Stored
from cdc.source.seam import Record
from cdc.takeover import Takeover
from ops.settings import Settings
from schemas.errors import HangingTransactionError, UnreachableError
from schemas.position import Position

ROW = b'{"before":null,"after":{"id":1},"source":{"name":"s","seq":%d},"op":"c"}'
OLD, NEW = Place(topic="s.d.t", partition=0, start=7), Place(topic="s.d.t", partition=1, start=9)
STORED = Stored(position=Position(gtid_set="", file="f", pos=4, server_uuid="", seq=2048, partitions={"s.d.t": 2}))


class _Kafka:
    """A publisher, and what hangs: `ends` tells whether a transaction of ours ends what hangs in its partitions."""

    def __init__(self, ends: Callable[[str], bool]) -> None:
        self.said: list[str] = []
        self.left = [OLD, NEW]
        self._ends = ends

    def end(self, records: Sequence[Record], *, commit: bool) -> None:
        self._done("commit" if commit else "abort", {(record.topic, record.partition) for record in records})

    def claim(self) -> None:
        self._done("claim", {(place.topic, place.partition) for place in self.left})

    def wait(self, _seconds: float) -> None: ...

    def _done(self, what: str, parts: set[tuple[str, int]]) -> None:
        self.said.append(what)
        if self._ends(what):
            self.left = [place for place in self.left if (place.topic, place.partition) not in parts]

    def hanging(self, _settings: object, _source: object, parts: Sequence[tuple[str, int]]) -> list[Place]:
        return [place for place in self.left if (place.topic, place.partition) in parts]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Callable[[_Kafka], Stored]:
    """Partition 0 holds a committed row, partition 1 one that was not."""

    def read(place: Place, *_: object) -> Held:
        seq = 1024 if place == OLD else 3072
        return Held(place=place, last=Record(place.topic, place.partition, b"{}", ROW % seq), seqs=(seq, seq))

    def run(kafka: _Kafka) -> Stored:
        monkeypatch.setattr(module, "hanging", kafka.hanging)
        settings = Settings.model_validate({"source": {"name": "s"}, "kafka": {"bootstrap_servers": "127.0.0.1:1"}})
        store = PositionStore(settings, Instance(id="me", label="mine"))
        topics: Any = None
        publisher: Any = kafka
        takeover = Takeover(settings=settings, publisher=publisher, store=store, topics=topics, wanted=lambda: True)
        return takeover._end(STORED, [OLD, NEW])

    for name in ("_ENDED_S", "_MARKERS_S"):
        monkeypatch.setattr(module, name, 0)
    monkeypatch.setattr(module, "raw", lambda *_: ())
    monkeypatch.setattr(module, "changes", read)
    return run


def test_nothing_is_committed_before_the_abort_took(taken: Callable[[_Kafka], Stored]) -> None:
    kafka = _Kafka(lambda what: what == "commit")
    with pytest.raises(HangingTransactionError, match="another producer"):
        taken(kafka)
    assert "commit" not in kafka.said


def test_what_is_written_late_is_awaited(taken: Callable[[_Kafka], Stored]) -> None:
    kafka = _Kafka(lambda what: what == "claim")  # which Kafka takes only when it has written the last end
    found = taken(kafka)
    assert kafka.said == ["abort", "claim", "commit"]
    assert kafka.left == []
    assert found.unclean
    assert found.position is not None
    assert found.position.seq == 2048 + 1024


def test_a_kafka_that_is_not_done_is_only_slow(taken: Callable[[_Kafka], Stored]) -> None:
    kafka = _Kafka(lambda _what: False)

    def claim() -> None:
        raise UnreachableError("slow")

    kafka.claim = claim  # type: ignore[method-assign]
    with pytest.raises(UnreachableError):
        taken(kafka)
