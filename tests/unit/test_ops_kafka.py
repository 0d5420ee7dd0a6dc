"""What a request to Kafka's admin side can end in."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from ops import kafka
from ops.kafka import answer, topic_ids
from schemas.errors import FormatError, RefusedError, UnreachableError

GONE_S = 0.02


def ended(code: int) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(KafkaException(KafkaError(code)))
    return future


def test_an_answer() -> None:
    future: Future[int] = Future()
    future.set_result(1)
    assert answer(future, 1, "k") == 1


def test_no_answer_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "_GRACE_S", 0.01)
    with pytest.raises(UnreachableError, match="does not answer"):
        answer(Future(), 0.01, "k")


def test_its_errors_are_ours() -> None:
    with pytest.raises(UnreachableError):
        answer(ended(KafkaError._TIMED_OUT), 1, "k")
    with pytest.raises(RefusedError):
        answer(ended(KafkaError.TOPIC_AUTHORIZATION_FAILED), 1, "k")


@pytest.mark.parametrize("code", [KafkaError._BAD_MSG, KafkaError._BAD_COMPRESSION, KafkaError._NOT_IMPLEMENTED])
def test_a_record_that_the_client_would_pass_over_is_no_lost_connection(code: int) -> None:
    with pytest.raises(FormatError, match="a record"):
        answer(ended(code), 1, "k")


def test_what_the_caller_expects_comes_through() -> None:
    with pytest.raises(KafkaException):
        answer(ended(KafkaError.TOPIC_ALREADY_EXISTS), 1, "k", expected=(KafkaError.TOPIC_ALREADY_EXISTS,))


def test_topics_that_do_not_exist_are_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "_GRACE_S", 0.01)

    class Admin:
        def __init__(self, *futures: Future[Any]) -> None:
            self.futures = futures

        def list_topics(self, topic: str, *, timeout: float) -> Any:
            if timeout == GONE_S:
                raise KafkaException(KafkaError(KafkaError._TRANSPORT))
            return SimpleNamespace(topics={topic: None})

        def describe_topics(self, _topics: Any, *, request_timeout: float) -> dict[str, Future[Any]]:
            return {f"t{number}": future for number, future in enumerate(self.futures)}

    client: Any = Admin(ended(KafkaError.UNKNOWN_TOPIC_OR_PART))
    assert topic_ids(client, ["t0"], "k") == {}
    client = Admin(Future())
    with pytest.raises(UnreachableError):
        topic_ids(client, ["t0"], "k", timeout_s=0.01)
    with pytest.raises(UnreachableError):
        topic_ids(client, ["t0"], "k", timeout_s=GONE_S)


@pytest.mark.parametrize("code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED])
def test_a_right_that_is_lacking_is_no_wrong_password(code: int) -> None:
    client: Any = SimpleNamespace(
        list_topics=lambda topic, **_: SimpleNamespace(topics={topic: None}),
        describe_topics=lambda *_, **__: {"t0": ended(code)},
    )
    with pytest.raises(RefusedError, match="topic t0") as caught:
        topic_ids(client, ["t0"], "k")
    assert "ACLs" in caught.value.hint
    assert "password" not in caught.value.hint
