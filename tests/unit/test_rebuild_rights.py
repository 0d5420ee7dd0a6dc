"""What a rebuild does where it may not do everything, or Kafka does a part of it."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, TopicPartition

from events import ORDERS
from fake_elastic import FakeCluster
from ops import groups
from ops.settings import Settings
from schemas.errors import TidemarkError
from schemas.table import Table
from sink.index import Indices
from sink.succession import Heir, Replicas, Succession

SETTINGS = Settings.model_validate({"source": {"name": "shop"}})
TABLE = Table(db="shop", name="orders", version=1, columns=ORDERS, primary_key=("id",), topic="shop.shop.orders")


@pytest.mark.parametrize(
    ("status", "body", "replicas"),
    [
        (200, {"timed_out": False}, Replicas.THERE),
        (408, {"timed_out": True}, Replicas.AWAITED),
        (403, {"error": {"type": "security_exception"}, "status": 403}, Replicas.NOT_SHOWN),
    ],
)
def test_replicas_are_awaited_where_the_cluster_shows_them(status: int, body: Any, replicas: Replicas) -> None:
    cluster = FakeCluster()
    cluster.api_rule = lambda _method, path: (status, body) if path.startswith("/_cluster/health") else (200, {})
    client = cluster.client()
    indices = Indices(client, SETTINGS.sink, "shop", "here")
    steps = Succession(client, indices, indices, "here")
    assert steps.finish_loading(Heir(name="shop.000002", of="shop", config=""), TABLE, 1) is replicas


class Committing:
    """A consumer whose broker takes one partition, and not the other."""

    def __init__(self, code: int) -> None:
        self._code = code
        self.closed = False

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> list[Any]:
        assert not asynchronous
        return [_Place(None), _Place(KafkaError(self._code))][: len(offsets)]

    def close(self) -> None:
        self.closed = True


class _Place:
    def __init__(self, error: KafkaError | None) -> None:
        self.error = error


def test_offsets_that_were_taken_in_part_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    places = [TopicPartition("t", number, 5) for number in range(2)]

    def commit(code: int, count: int = 2) -> bool:
        client = Committing(code)
        monkeypatch.setattr(groups, "consumer", lambda *_args, **_more: client)
        try:
            return groups.commit_for(SETTINGS, "g", places[:count], "c")
        finally:
            assert client.closed

    assert commit(KafkaError.NOT_COORDINATOR, 1)
    assert not commit(KafkaError.UNKNOWN_MEMBER_ID)
    with pytest.raises(TidemarkError):
        commit(KafkaError.NOT_COORDINATOR)
