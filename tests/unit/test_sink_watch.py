"""The watcher with a scripted index side."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from events import ORDERS
from ops.settings import Settings
from schemas.errors import ConfigError, IndexMissingError, IndexRulesError, UnreachableError
from schemas.shape import Rules, Shape
from schemas.table import Table
from sink import watch
from sink.commit import Committed
from sink.index import Behind, Index
from sink.trouble import Fault, Troubles
from sink.watch import Target, Watcher

ALIAS = "shop.shop.orders"


def version(number: int) -> Table:
    return Table(db="shop", name="orders", version=number, columns=ORDERS, primary_key=("id",), topic=ALIAS)


class OtherWasFaster:
    """No index at the first look; when it is to be made, another sink has made it from an older version."""

    def __init__(self) -> None:
        self.followed: list[int] = []

    def find(self, table: Table) -> None:
        return None

    def create(self, table: Table) -> Index:
        return Index(alias=ALIAS, name=f"{ALIAS}.000001", version=1)

    def keep_deletes(self, _index: Index) -> None:
        pass

    def follow(self, index: Index, table: Table, *, older: bool = False) -> Index:
        self.followed.append(table.version)
        return Index(alias=index.alias, name=index.name, version=table.version)


class Catalog:
    def list_topics(self, topic: str, *, timeout: float) -> Any:
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions={0: None}, error=None)})

    def get(self, full_name: str, number: int) -> Table:
        return version(number)

    def columns(self, full_name: str) -> set[str]:
        return {column.name for column in ORDERS}


def test_an_index_that_another_sink_made_is_brought_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "committed", lambda *_: [])
    monkeypatch.setattr(watch, "retention_s", lambda *_: 1.0)
    indices: Any = OtherWasFaster()
    anything: Any = Catalog()
    settings = Settings.model_validate({"source": {"name": "shop"}})
    watcher = Watcher(settings, indices, Troubles(), Fault(), "c")
    target = watcher._target(anything, anything, version(3), "uuid")
    assert (target.version, target.tried) == (3, 3)
    assert indices.followed == [1, 2, 3]


class OtherHasWritten(OtherWasFaster):
    """No index at the first look; after that what another sink has made of it meanwhile, if it has."""

    def __init__(self, *looks: Index | None) -> None:
        super().__init__()
        self.looks: list[Any] = [None, *looks]

    def find(self, table: Table) -> Any:
        return self.looks.pop(0)

    def alias(self, table: Table) -> str:
        return ALIAS


def test_an_index_that_is_not_there_though_something_was_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is lost, unless another sink has made it and written to it since we looked."""
    metadata = Committed("uuid", 7, 1, 1, None).encode()
    monkeypatch.setattr(watch, "committed", lambda *_: [TopicPartition(ALIAS, 0, 5, metadata)])
    monkeypatch.setattr(watch, "retention_s", lambda *_: 1.0)
    anything: Any = Catalog()
    settings = Settings.model_validate({"source": {"name": "shop"}})
    made: Any = OtherHasWritten(Index(alias=ALIAS, name=f"{ALIAS}.000001", version=1))
    target = Watcher(settings, made, Troubles(), Fault(), "c")._target(anything, anything, version(1), "uuid")
    assert target.alias == ALIAS
    lost: Any = OtherHasWritten(None)
    with pytest.raises(IndexMissingError):
        Watcher(settings, lost, Troubles(), Fault(), "c")._target(anything, anything, version(1), "uuid")


class Refused(OtherWasFaster):
    def create(self, table: Table) -> Index:
        raise ConfigError("no such type")


def test_what_is_configured_stops_all_at_the_start_and_later_that_table_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "committed", lambda *_: [])
    indices: Any = Refused()
    anything: Any = Catalog()
    troubles = Troubles()
    watcher = Watcher(Settings.model_validate({"source": {"name": "shop"}}), indices, troubles, Fault(), "c")
    with pytest.raises(ConfigError):
        watcher._possible(anything, anything, version(1), "uuid")
    watcher.ready.set()
    assert watcher._possible(anything, anything, version(1), "uuid") is None
    assert troubles.reason == "table shop.orders: no such type"


@pytest.mark.parametrize("gone", [KafkaException(KafkaError(KafkaError._TRANSPORT)), None])
def test_a_broker_that_is_away_when_offsets_are_looked_for_is_asked_again(gone: KafkaException | None) -> None:
    class Away(Catalog):
        def list_topics(self, topic: str, *, timeout: float) -> Any:
            if gone is not None:
                raise gone
            error = KafkaError(KafkaError.LEADER_NOT_AVAILABLE)
            return SimpleNamespace(topics={topic: SimpleNamespace(partitions={}, error=error)})

    indices: Any = OtherWasFaster()
    anything: Any = Away()
    watcher = Watcher(Settings.model_validate({"source": {"name": "shop"}}), indices, Troubles(), Fault(), "c")
    with pytest.raises(UnreachableError) as caught:
        watcher._target(anything, anything, version(1), "uuid")
    assert caught.value.retryable


def test_an_index_of_other_rules_takes_the_place() -> None:
    behind = [Behind(name="o.000001", mark="other", routing=())]
    indices: Any = SimpleNamespace(behind=lambda *_: behind[-1])
    watcher = Watcher(Settings.model_validate({"source": {"name": "shop"}}), indices, Troubles(), Fault(), "c")
    target = Target(
        table="shop.orders", topic=ALIAS, topic_id="uuid", alias=ALIAS, version=1, tried=1, retention_s=1.0,
        shape=Shape(Rules(routing=("b", "a"))),
    )  # fmt: skip
    watcher._check_rules(target)  # what was there at the start may be older than the rules
    assert watcher.outdated == {ALIAS}
    behind.append(Behind(name="o.000002", mark="", routing=("a", "b")))
    watcher._check_rules(target)
    assert not watcher.outdated
    for mark, routing in (("", ()), ("other", ("a", "b"))):
        behind.append(Behind(name="o.000003", mark=mark, routing=routing))
        with pytest.raises(IndexRulesError, match=r"o.000003 has taken the place of o.000002"):
            watcher._check_rules(target)
