"""Letters against a scripted topic: of a compacted one the last record of a key is left, so it has to be the newest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

import pytest

from ops.settings import Settings
from schemas.deadletter import DeadLetter
from schemas.errors import UnreachableError
from sink import deadletter, letterbox
from sink.deadletter import DeadLetters
from sink.letterbox import Letterbox
from sink_kit import raw_key

SETTINGS = Settings.model_validate({"source": {"name": "s"}})


class Record:
    """As the Kafka client hands it over."""

    def __init__(self, offset: int, key: bytes, value: bytes | None, headers: Any) -> None:
        self.offset = lambda: offset
        self.key = lambda: key
        self.value = lambda: value
        self.headers = lambda: headers


class Topic:
    """One partition, its producers and readers. `meanwhile`: what others write while a record is on its way."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.meanwhile: list[Callable[[], object]] = []

    def add(self, key: bytes, value: bytes | None, headers: Any = ()) -> Record:
        self.records.append(Record(len(self.records), key, value, headers))
        return self.records[-1]

    def put(self, *seqs: int) -> None:
        for seq in seqs:
            self.add(letter(seq).record_key(), letter(seq).model_dump_json().encode())

    def last(self) -> int:
        """The seq of the record that compaction leaves; 0 for one that drops the letter."""
        value = self.records[-1].value()
        return DeadLetter.model_validate_json(value).seq if value else 0

    # --- as a producer, and as what makes readers ---

    def produce(self, _topic: str, value: bytes | None, *, key: bytes, on_delivery: Any, headers: Any = ()) -> None:
        if self.meanwhile:
            self.meanwhile.pop(0)()
        on_delivery(None, self.add(key, value, headers))

    def flush(self, _timeout_s: float) -> int:
        return 0

    def reader(self, *_: object, **__: object) -> Any:
        return Reader(self)


class Reader:
    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._next = 0

    def to_end(self, **_: object) -> Iterator[Record]:
        found, self._next = self._topic.records[self._next :], len(self._topic.records)
        yield from found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass


def letter(seq: int) -> DeadLetter:
    return DeadLetter(
        table="shop.orders", topic="t", topic_id="uuid", partition=0, offset=seq, key=raw_key("k").decode(),
        key_text="k", seq=seq, index="t", id="k", status=400, type="x", reason="y", ts_ms=1, value=None,
    )  # fmt: skip


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    found = Topic()
    for module in (letterbox, deadletter):
        monkeypatch.setattr(module, "producer", lambda *_, **__: found)
    monkeypatch.setattr(letterbox, "ControlReader", found.reader)
    return found


def test_what_is_written_again_is_the_newest_and_buries_nothing_itself(topic: Topic) -> None:
    topic.put(1)
    topic.meanwhile = [lambda: topic.put(2), lambda: topic.put(3), lambda: topic.put(4, 5)]
    with Letterbox(SETTINGS, "t") as box:
        assert len(list(box.standing(lambda _found: True))) == 1
        box.drop({letter(1).record_key(): 1})
    assert topic.last() == 5
    assert not topic.meanwhile


def test_a_newer_letter_behind_what_was_written_is_left_alone(topic: Topic) -> None:
    topic.put(1)
    with Letterbox(SETTINGS, "t") as box:
        box.drop({letter(1).record_key(): 1})
        topic.put(2)
        before = len(topic.records)
        box.unbury({letter(1).record_key()})
    assert len(topic.records) == before
    assert topic.last() == 2


@pytest.mark.parametrize(("newer", "dropped", "last"), [((2, 3), 0, 3), ((2,), 2, 1), ((), 0, 1)])
def test_a_letter_that_lands_late_buries_no_newer_one(
    topic: Topic, newer: tuple[int, ...], dropped: int, last: int
) -> None:
    """A frozen sink's, of a partition that another one has taken over, refused on and perhaps replayed."""

    def heir() -> None:
        topic.put(1, *newer)
        if dropped:
            topic.add(letter(1).record_key(), None, [("seq", str(dropped).encode())])

    topic.meanwhile = [heir]
    DeadLetters(SETTINGS, "t").write([letter(1)], wanted=lambda: True, ours=lambda: False)
    assert topic.last() == last


def test_unburying_begins_anew_after_kafka_was_away(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    fails = [UnreachableError("away")]
    real = Letterbox.unbury

    def unbury(box: Letterbox, keys: Any) -> None:
        real(box, ()) if fails else real(box, keys)
        if fails:
            raise fails.pop()

    monkeypatch.setattr(Letterbox, "unbury", unbury)
    topic.meanwhile = [lambda: topic.put(2)]
    DeadLetters(SETTINGS, "t").write([letter(1)], wanted=lambda: True, ours=lambda: False)
    assert topic.last() == 2
