"""What a first look at an index says of a partition without a commit, also when others were faster meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import TopicPartition

from fake_elastic import FakeCluster
from ops.settings import Settings
from schemas.errors import OffsetsLostError, UnreachableError
from sink import vacancy
from sink.barrier import Cluster
from sink.part import Part
from sink.vacancy import Vacancy
from sink_kit import part_of


class Look:
    """A look at an index that holds so many documents, in a group that has committed this by then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, documents: int, committed: int = -1001) -> None:
        self.part: Part = part_of()
        self.documents = documents
        self.taken_away = False
        self.asked: list[str] = []
        self._committed = committed
        monkeypatch.setattr(vacancy, "committed", self._offsets)

    def _rule(self, _method: str, path: str) -> tuple[int, dict[str, Any]]:
        self.part.owned = not self.taken_away
        hits = {"total": {"value": self.documents}, "hits": []}
        return 200, {"timed_out": False, "_shards": {"total": 1, "successful": 1, "failed": 0}, "hits": hits}

    def _offsets(self, _settings: Any, group: str, places: list[TopicPartition]) -> list[TopicPartition]:
        self.asked.append(group)
        return [TopicPartition(place.topic, place.partition, self._committed) for place in places]

    def __call__(self) -> None:
        index = FakeCluster()
        index.api_rule = self._rule
        cluster = Cluster(client=index.client(), where="es", verify=lambda _alias: None)
        settings = Settings.model_validate({"source": {"name": "shop"}, "sink": {"group": "g"}})
        Vacancy(settings=settings, cluster=cluster).look(self.part)


def test_nothing_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Look(monkeypatch, documents=0)
    look()
    assert look.part.vacant
    assert not look.asked


def test_documents_without_an_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Look(monkeypatch, documents=1)
    with pytest.raises(OffsetsLostError, match="the group g has no offset, yet the index holds documents"):
        look()
    assert not look.part.vacant


def test_another_sink_has_written_them_and_we_have_not_heard_of_it_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Look(monkeypatch, documents=1, committed=7)
    with pytest.raises(UnreachableError, match="another sink has"):
        look()
    assert not look.part.vacant
    look.part.owned = False
    look()


def test_the_partition_is_taken_away_during_the_look(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Look(monkeypatch, documents=1)
    look.taken_away = True
    look()
    assert not look.asked
