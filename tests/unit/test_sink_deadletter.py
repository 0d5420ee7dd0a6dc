"""Letters against a scripted producer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from ops.settings import Settings
from schemas.deadletter import DeadLetter
from schemas.errors import RefusedError, UnreachableError
from sink import deadletter
from sink.bulk import Answer
from sink.deadletter import DeadLetters, letter_of
from sink.outcome import Outcome
from sink_kit import BASE, item_of, part_of

SETTINGS = Settings.model_validate({"source": {"name": "s"}, "kafka": {"bootstrap_servers": "127.0.0.1:1"}})
TOO_LARGE = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)


class Broker:
    """Makes producers. `most`: bytes of a value that it takes, told in the report; `fatal`: how often `code`."""

    def __init__(
        self, most: int = 10_000, fatal: int = 0, where: str = "report",
        code: int = KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
    ) -> None:  # fmt: skip
        self.most, self.fatal, self.where, self.code = most, fatal, where, code
        self.made: list[Any] = []
        self.taken: list[DeadLetter] = []

    def producer(self, *_args: Any, **_overrides: Any) -> Any:
        self.made.append(_Producer(self))
        return self.made[-1]


class _Producer:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._broken: KafkaError | None = None
        self._reports: list[tuple[Callable[..., None], KafkaError | None]] = []

    def produce(self, _topic: str, value: bytes, *, key: bytes, on_delivery: Callable[..., None]) -> None:
        broker = self._broker
        if broker.fatal and not self._broken:
            broker.fatal -= 1
            self._broken = KafkaError(broker.code, "fenced", True)
        if self._broken and broker.where == "produce":
            raise KafkaException(KafkaError(KafkaError._FATAL))
        error = self._broken or (TOO_LARGE if len(value) > broker.most else None)
        if error is TOO_LARGE and broker.where == "produce":
            raise KafkaException(error)
        if error is None:
            broker.taken.append(DeadLetter.model_validate_json(value))
        self._reports.append((on_delivery, error))

    def poll(self, _timeout_s: float) -> None:
        reports, self._reports = self._reports, []
        for report, error in reports:
            report(error, None)

    def purge(self) -> None:
        pass

    def flush(self, _timeout_s: float) -> None:
        if self._broken:
            raise KafkaException(self._broken)


def letters_of(monkeypatch: pytest.MonkeyPatch, broker: Broker) -> DeadLetters:
    monkeypatch.setattr(deadletter, "producer", broker.producer)
    return DeadLetters(SETTINGS, "c")


def letter(offset: int, size: int) -> DeadLetter:
    item = item_of(part_of(), offset, "k", BASE + offset, note="x" * size)
    return letter_of(item, Answer(Outcome.POISON, 400, "document_parsing_exception", "why"))


@pytest.mark.parametrize("where", ["report", "produce"])
def test_one_that_kafka_refuses_as_too_large_goes_without_its_event(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    broker = Broker(most=1000, where=where)
    letters_of(monkeypatch, broker).write([letter(0, 10), letter(1, 2000), letter(2, 10)], wanted=lambda: True)
    offsets = [found.offset for found in broker.taken]
    assert offsets[-3:] == [0, 1, 2]  # in order, since the last letter of a key stands
    small, large, other = broker.taken[-3:]
    assert small.value
    assert other.value
    assert large.value is None
    assert large.reason == "(event left out) why"


def test_one_that_is_too_large_all_the_same_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnreachableError, match="even without its event"):
        letters_of(monkeypatch, Broker(most=10)).write([letter(0, 10)], wanted=lambda: True)


@pytest.mark.parametrize("where", ["report", "produce"])
def test_a_producer_that_cannot_go_on_is_replaced(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    broker = Broker(fatal=1, where=where)
    letters = letters_of(monkeypatch, broker)
    with pytest.raises(UnreachableError):
        letters.write([letter(0, 10)], wanted=lambda: True)
    letters.write([letter(0, 10)], wanted=lambda: True)
    assert [found.offset for found in broker.taken] == [0]
    assert len(broker.made) == 2


def test_a_passing_error_keeps_the_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker()
    letters = letters_of(monkeypatch, broker)
    with pytest.raises(UnreachableError, match="stopping"):
        letters.write([letter(0, 10)], wanted=lambda: False)
    letters.write([letter(0, 10)], wanted=lambda: True)
    assert len(broker.made) == 1


@pytest.mark.parametrize("code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED])
def test_without_the_right_to_write_it_is_refused_and_ends_quietly(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    letters = letters_of(monkeypatch, Broker(fatal=3, code=code))
    for _ in range(2):  # the second time with a producer that breaks again
        with pytest.raises(RefusedError) as caught:
            letters.write([letter(0, 10)], wanted=lambda: True)
        assert "s.__deadletter" in str(caught.value)
        assert "ACLs" in caught.value.hint
    letters._producer.produce("t", b"x", key=b"k", on_delivery=lambda *_: None)
    letters.close()
