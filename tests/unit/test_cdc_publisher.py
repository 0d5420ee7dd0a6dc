"""What librdkafka's errors mean to somebody who publishes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import orjson
import pytest
from confluent_kafka import KafkaError, KafkaException

from cdc.position_store import POSITION_KEY, Instance, PositionStore, Stored
from cdc.publisher import Publisher
from cdc.route import TableFilter, TableRouter
from cdc.source.seam import Batch, Record
from ops.settings import Settings
from ops.stop import Stop
from schemas.errors import (
    FencedError,
    GivenUpError,
    RefusedError,
    SlowCommitError,
    TidemarkError,
    TopicMismatchError,
    UnreachableError,
)
from schemas.position import Position


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    """It talks to nobody."""
    settings = Settings.model_validate({"source": {"name": "s"}, "kafka": {"bootstrap_servers": "127.0.0.1:1"}})
    instance = Instance(id="me", label="mine")
    with Publisher(settings, PositionStore(settings, instance), instance, Stop()) as made:
        yield made


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (KafkaError._MSG_TIMED_OUT, SlowCommitError),
        (KafkaError.MSG_SIZE_TOO_LARGE, TopicMismatchError),
        (KafkaError.RECORD_LIST_TOO_LARGE, TopicMismatchError),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, RefusedError),
        (KafkaError.KAFKA_STORAGE_ERROR, UnreachableError),
    ],
)
def test_errors(publisher: Publisher, code: int, expected: type[TidemarkError]) -> None:
    publisher._waited_s = 40
    found = publisher._give_up(KafkaException(KafkaError(code)))
    assert type(found) is expected
    assert found.hint


class _Client:
    """Takes everything."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes, bytes]] = []

    def produce(self, topic: str, *, value: bytes, key: bytes, **_: object) -> None:
        self.taken.append((topic, key, value))

    def produce_batch(self, _topic: str, messages: list[dict[str, Any]], **_: object) -> int:
        return len(messages)

    def __len__(self) -> int:
        return 0

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class _Topics:
    def ensure(self, *_: object, **__: object) -> None: ...


def test_the_position_names_no_topic_that_does_not_exist_yet(publisher: Publisher) -> None:
    """The reading thread is ahead: its tables' topics are created when their own batch is published."""
    client: Any = _Client()
    publisher._producer = client
    known = Position(gtid_set="", file="f", pos=4, server_uuid="", seq=0, partitions={"s.d.old": 2})
    router = TableRouter("s", TableFilter(["*.*"]), topics={}, pinned=known.partitions, count=lambda _topic: 3)
    router.partitions("s.d.later")
    record = Record("s.d.t", 0, b"{}", b"{}")
    batch = Batch(records=(record,), position=Position(
        gtid_set="", file="f", pos=5, server_uuid="", seq=1024, partitions={"s.d.t": 3}
    ))  # fmt: skip
    topics: Any = _Topics()
    found = publisher.publish(batch, router=router, topics=topics, known=known)
    assert found is not None
    assert found.partitions == {"s.d.old": 2, "s.d.t": 3}
    ((_, stored),) = [(key, value) for _, key, value in client.taken if key == POSITION_KEY]
    assert orjson.loads(stored)["partitions"] == {"s.d.old": 2, "s.d.t": 3}


@pytest.mark.parametrize(
    ("steps", "claimant", "expected"),
    [
        ("", "dead", GivenUpError),  # the claims were not read yet: it cannot be told
        ("follow", "dead", GivenUpError),
        ("follow", "me", GivenUpError),  # committed, and the answer was lost
        ("follow", "dead again", GivenUpError),  # an older one that was fenced: it does not know of us yet
        ("follow", "heir", FencedError),
        ("follow claim", "me", GivenUpError),
        ("follow claim", "dead", GivenUpError),  # ours is not shown yet
        ("follow claim", "dead again", FencedError),
        ("follow claim", "heir", FencedError),
        ("follow claim follow", "dead again", FencedError),  # in a later session too
    ],
)
def test_fenced_is_who_reads_another_claim_than_before(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, steps: str, claimant: str, expected: type[TidemarkError]
) -> None:
    client: Any = _Client()
    publisher._producer = client
    if "follow" in steps:
        publisher.follow(Stored(claimant="dead", claimed_ms=1))
    if "claim" in steps:
        publisher.claim()
    if steps.endswith("claim follow"):
        publisher.follow(Stored(claimant="dead", claimed_ms=1))
    name, again = claimant.removesuffix(" again"), claimant.endswith("again")
    monkeypatch.setattr(PositionStore, "read", lambda *_: Stored(claimant=name, claimed_ms=2 if again else 1))
    found = publisher._give_up(KafkaException(KafkaError(KafkaError.INVALID_PRODUCER_EPOCH)))
    assert type(found) is expected


def test_a_transaction_was_too_large_only_if_kafka_was_waited_for(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that timed out while this process was frozen was not."""
    monkeypatch.setattr(PositionStore, "read", lambda *_: Stored(claimant="me"))
    for code in (KafkaError.INVALID_PRODUCER_EPOCH, KafkaError._MSG_TIMED_OUT):
        publisher._waited_s = 10
        assert type(publisher._give_up(KafkaException(KafkaError(code)))) is GivenUpError
        publisher._waited_s = 20
        assert type(publisher._give_up(KafkaException(KafkaError(code)))) is SlowCommitError


@pytest.mark.parametrize("step", ["commit", "make room"])
@pytest.mark.parametrize(("polls", "expected"), [(1, GivenUpError), (100, SlowCommitError)])
def test_a_freeze_in_the_middle_of_a_wait_is_not_kafkas(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, step: str, polls: int, expected: type[TidemarkError]
) -> None:
    """The deadline is the clock's, also for a process that was frozen: what is in flight may have come twice."""
    now_s = 0.0

    def wait(*_: object) -> None:
        nonlocal now_s
        now_s += 100 / polls
        if step == "commit":
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "slow", False, True))

    class Full(_Client):
        poll = commit_transaction = staticmethod(wait)

        def __len__(self) -> int:
            return 10

    client: Any = Full()
    publisher._producer = client
    monkeypatch.setattr("cdc.publisher.time.monotonic", lambda: now_s)
    monkeypatch.setattr("cdc.publisher._POLL_S", 0.5)
    with pytest.raises(UnreachableError) as caught:
        publisher._commit() if step == "commit" else publisher._make_room(1, 5)
    assert type(caught.value) is expected


def test_the_time_that_kafka_has_grows_with_that_of_a_transaction(publisher: Publisher) -> None:
    settings = Settings.model_validate({
        "source": {"name": "s"}, "kafka": {"bootstrap_servers": "127.0.0.1:1", "transaction_timeout_s": 600},
    })  # fmt: skip
    with Publisher(settings, publisher._store, publisher._instance, Stop()) as patient:
        assert (publisher._slow_s, patient._slow_s) == (30, 300)
        patient._waited_s = 300
        patient._newest = "1 row changes, 67108864 bytes, for s.d.t"
        assert (
            "67108864 bytes, for s.d.t" in patient._slow("commit_transaction", KafkaError(KafkaError._TIMED_OUT)).hint
        )


def test_nobody_is_fenced_by_what_kafka_refuses(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    client: Any = _Client()
    monkeypatch.setattr("cdc.publisher.metadata", lambda *_: None)

    def refuse(*_: object) -> None:
        raise KafkaException(KafkaError(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED))

    publisher._producer, client.init_transactions = client, refuse
    with pytest.raises(RefusedError):
        publisher.open()
    assert not publisher.fences
    publisher._producer = cast("Any", _Client())
    publisher.open()
    assert publisher.fences
