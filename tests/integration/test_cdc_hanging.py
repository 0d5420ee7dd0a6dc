"""Kafka lost the end of a transaction in some of its partitions: nothing is lost by that, and nothing said twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from cdc import takeover
from cdc.position_store import CLAIM_KEY, POSITION_KEY, Instance, PositionStore, Stored
from cdc.publisher import Publisher
from cdc.source.seam import Record
from cdc.takeover import Takeover
from cdc.topics import Topics
from committed import committed_values, end_of
from lost_markers import LostMarkers
from ops.settings import Settings
from ops.stop import Stop
from runner import until
from schemas.errors import FencedError, HangingTransactionError
from schemas.position import EPOCH_SHIFT, Position
from stack.kafka import KafkaServer

pytestmark = pytest.mark.stack


@pytest.fixture
def kafka_that_forgets(servers_of_own: Any) -> Iterator[KafkaServer]:
    kafka: KafkaServer = servers_of_own[1]
    client = AdminClient({"bootstrap.servers": f"127.0.0.1:{kafka.port}"})

    def verify(wanted: str) -> None:
        entry = ConfigEntry(
            "transaction.partition.verification.enable", wanted, incremental_operation=AlterConfigOpType.SET
        )
        resource = ConfigResource(ConfigResource.Type.BROKER, "1", incremental_configs=[entry])
        for future in client.incremental_alter_configs([resource]).values():
            future.result(30)

    verify("false")
    yield kafka
    verify("true")


class Place:
    """A source in Kafka, without MySQL: row 1 is published, and row 2 is in a transaction that went wrong."""

    def __init__(self, kafka: KafkaServer, name: str) -> None:
        self.port, self.name, self.topic = kafka.port, name, f"{name}.d.t"
        self.settings = Settings.model_validate(
            {"source": {"name": name}, "kafka": {"bootstrap_servers": f"127.0.0.1:{kafka.port}"}}
        )
        self.topics = Topics(self.settings.kafka, name)
        self.topics.ensure_control()
        self.topics.ensure({self.topic: 2}, pinned={})
        self.instance = Instance(id="me", label="mine")
        self.store = PositionStore(self.settings, self.instance)
        self.before = Position(
            gtid_set="", file="bin.000001", pos=4, server_uuid="", seq=1024, partitions={self.topic: 2}
        )
        self.after = replace(self.before, pos=400, seq=2048)
        with self.publisher() as publisher:
            publisher.open()
            publisher.end([self.row(1, 1024), self.position(self.before)], commit=True)
        until(self.ended, "the markers", 60)

    def publisher(self) -> Publisher:
        return Publisher(self.settings, self.store, self.instance, Stop())

    def row(self, number: int, seq: int) -> Record:
        source = {"name": self.name, "db": "d", "table": "t", "table_version": 1, "seq": seq}
        event = {"before": None, "after": {"id": number}, "op": "c", "source": source, "transaction": None}
        return Record(self.topic, 0, b'{"id":%d}' % number, orjson.dumps(event))

    def position(self, position: Position) -> Record:
        return Record(self.store.topic, 0, POSITION_KEY, orjson.dumps(position.to_json()))

    def went_wrong(self, *known: Record, forgotten: tuple[Record, ...], commit: bool) -> None:
        with LostMarkers(self.port, self.name) as producer:
            for record in known:
                producer.add(record.topic, record.partition)
            for record in (*known, *forgotten):
                producer.write(record.topic, record.partition, [(record.key, record.value, list(record.headers))])
            if known:
                producer.end(committed=commit)

    def start(self, *, claimed: bool = False) -> Stored:
        with self.publisher() as publisher:
            return Takeover(
                settings=self.settings, publisher=publisher, store=self.store, topics=self.topics,
                wanted=lambda: True, claimed=claimed,
            ).run()  # fmt: skip

    def rows(self) -> list[int]:
        found = committed_values(self.settings.kafka.bootstrap_servers, self.topic)
        return [event["after"]["id"] for event in found if event["op"] != "r"]

    def seqs(self) -> list[int]:
        found = committed_values(self.settings.kafka.bootstrap_servers, self.topic)
        return [event["source"]["seq"] for event in found]

    def ended(self) -> bool:
        servers = self.settings.kafka.bootstrap_servers
        return all(
            end_of(servers, topic) == end_of(servers, topic, committed=False)
            for topic in (self.topic, self.store.topic, f"{self.name}.__schema")
        )


@pytest.fixture
def place(kafka_that_forgets: KafkaServer, unique: str, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(takeover, "_MARKERS_S", 0.3)
    return Place(kafka_that_forgets, f"h{unique[-20:]}".replace("__", "_"))


def test_the_rows_of_a_commit_come_to_light(place: Place) -> None:
    place.went_wrong(place.position(place.after), forgotten=(place.row(2, 2048),), commit=True)
    assert place.rows() == [1]
    stored = place.start()
    until(place.ended, "nothing hangs", 60)
    assert place.rows() == [1, 2]
    assert len(set(place.seqs())) == len(place.seqs())
    assert stored.position == place.store.read().position
    assert stored.position == replace(place.after, seq=max(place.seqs()))


def test_the_rows_of_an_abort_do_not(place: Place) -> None:
    schema = Record(f"{place.name}.__schema", 0, b'{"table":"d.t","version":1}', b"{}")
    place.went_wrong(place.position(place.after), forgotten=(place.row(2, 2048), schema), commit=False)
    assert place.start().position == place.before
    until(place.ended, "nothing hangs", 60)
    assert place.rows() == [1]


def test_a_position_whose_rows_are_seen_counts(place: Place) -> None:
    place.went_wrong(place.row(2, 2048), forgotten=(place.position(place.after),), commit=True)
    assert place.store.read().position == place.before
    stored = place.start()
    assert stored.position == place.after
    until(place.ended, "nothing hangs", 60)
    assert place.rows() == [1, 2]
    assert place.store.read().position == place.after


def test_a_position_whose_rows_nobody_sees_does_not(place: Place) -> None:
    place.went_wrong(forgotten=(place.row(2, 2048), place.position(place.after)), commit=False)
    assert place.start().position == place.before
    until(place.ended, "nothing hangs", 60)
    assert place.rows() == [1]
    assert place.store.read().position == place.before


def test_a_position_without_rows_and_the_claims_around_it_count(place: Place) -> None:
    """A reset was answered and forgotten, and so was the claim of whoever died after it."""
    epoch = replace(place.after, seq=5 << EPOCH_SHIFT)
    dead = Record(place.store.topic, 0, CLAIM_KEY, orjson.dumps(Instance(id="dead", label="dead").to_json()))
    place.went_wrong(forgotten=(place.position(epoch), dead), commit=True)
    assert place.start().position == epoch
    until(place.ended, "nothing hangs", 60)
    assert place.store.is_ours(place.store.read())
    assert place.store.is_ours(place.store.claim_of(dead.value or b""))  # ours may not be shown yet
    place.went_wrong(forgotten=(dead._replace(value=(dead.value or b"").replace(b'"dead"', b'"heir"')),), commit=True)
    with pytest.raises(FencedError, match="heir"):
        place.start(claimed=True)


def test_what_cannot_be_told_or_is_anothers_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takeover, "_ENDED_S", 0.3)
    both = (place.row(2, 2048), place.row(3, 3072))
    place.went_wrong(place.position(place.after), forgotten=both, commit=True)
    for _ in range(2):  # and nothing is ended
        with pytest.raises(HangingTransactionError, match="cannot be told") as caught:
            place.start()
    # Without a time find-hanging lists only what is older than 15 minutes.
    assert f"find-hanging --topic {place.topic} --partition 0 --max-transaction-timeout 0`" in caught.value.hint
    assert f"abort --topic {place.topic} --partition 0 --start-offset 2`" in caught.value.hint


def test_another_producers_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takeover, "_ENDED_S", 0.3)
    with LostMarkers(place.port, f"{place.name}-expired") as producer:
        producer.write(place.topic, 1, [(place.row(2, 2048).key, place.row(2, 2048).value, [])])
    with pytest.raises(HangingTransactionError, match="another producer") as caught:
        place.start()
    assert "kafka-transactions" in caught.value.hint


def test_anothers_transaction_in_a_topic_that_is_named_alike_holds_nobody_up(place: Place) -> None:
    alike = f"{place.name}.theirs"
    place.topics.ensure({alike: 1}, pinned={})
    with LostMarkers(place.port, f"{place.name}-theirs") as producer:
        producer.write(alike, 0, [(b"k", b"not ours", [])])
    assert place.start().position == place.before
