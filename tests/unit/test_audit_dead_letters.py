"""Dead letters are kept up to date letter by letter, as if all of them were looked at each time."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import orjson
import pytest

from auditor import dead_letters
from auditor.dead_letters import DeadLetters
from schemas.deadletter import DeadLetter
from schemas.errors import FormatError, InconclusiveError


class Message(NamedTuple):
    """As the Kafka client hands it over."""

    key_: bytes
    value_: bytes | None
    headers_: list[tuple[str, bytes]] | None = None

    def key(self) -> bytes:
        return self.key_

    def value(self) -> bytes | None:
        return self.value_

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self.headers_


class Reader:
    """A dead-letter topic; `limits`: what was asked of its reading."""

    def __init__(self) -> None:
        self.new: list[Message] = []
        self.limits: dict[str, Any] = {}

    def to_end(self, **limits: Any) -> Iterator[Message]:
        self.limits = limits
        yield from self.new
        self.new = []

    def close(self) -> None:
        pass


def letter(number: int, seq: int, topic: str = "x.s.t", index: str = "x.s.t") -> Message:
    about = DeadLetter(
        table="s.t", topic=topic, topic_id="u", partition=0, offset=seq, key=f'{{"id":{number}}}',
        key_text=str(number), seq=seq, index=index, id=str(number), status=400, type="x", reason="", ts_ms=1,
        value=None, building=index != topic,
    )  # fmt: skip
    return Message(about.record_key(), about.model_dump_json().encode())


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    made = Reader()
    monkeypatch.setattr(dead_letters, "ControlReader", lambda *_: made)
    return made


class Told:
    """A context; `pulses`: how often the audit said that it moves on."""

    def __init__(self) -> None:
        self.pulses = 0
        self.client_id = "x"
        self.settings: Any = type("Settings", (), {"source": type("Source", (), {"name": "x"}), "kafka": None})

    def pulse(self) -> None:
        self.pulses += 1


def test_letters_come_and_are_dropped(reader: Reader) -> None:
    context: Any = Told()
    there: dict[int, set[int]] = {}
    chance = random.Random(7)
    with closing(DeadLetters(context, "x.s.t", "x.s.t")) as letters:
        for seq in range(1, 500):
            number = chance.randrange(20)
            mine = there.setdefault(number, set())
            reader.new = [letter(number, 10_000 + seq, topic="x.s.t2", index="x.s.t2")]
            if chance.random() < 0.3:
                upto = chance.choice([None, seq - 1, max(0, seq - 60)])
                headers = None if upto is None else [("seq", str(upto).encode())]
                reader.new.append(Message(letter(number, 0).key(), None, headers))
                there[number] = {one for one in mine if upto is not None and one > upto}
            else:
                reader.new += [letter(number, seq), letter(number, 20_000 + seq, index="x.s.t.next")]
                mine.add(seq)
            letters.read_on()
            standing = {one for some in there.values() for one in some}
            assert {one for one in range(seq + 1) if one in letters} == standing
            assert 10_000 + seq not in letters
            assert 20_000 + seq not in letters
            assert all(letters.newest(str(n)) == max(there.get(n, ()), default=0) for n in range(21))
    assert reader.limits == {"timeout_s": math.inf, "silence_s": 60}
    assert context.pulses


def test_what_is_no_letter_is_told(reader: Reader) -> None:
    context: Any = Told()
    with closing(DeadLetters(context, "x.s.t", "x.s.t")) as letters:
        for value in (b"{}", orjson.dumps({"format": 1, "topic": "x.s.t"})):
            reader.new = [Message(letter(1, 1).key(), value)]
            with pytest.raises(FormatError):
                letters.read_on()


def test_a_disk_that_is_full_is_said_as_what_it_is(reader: Reader) -> None:
    context: Any = Told()
    with closing(DeadLetters(context, "x.s.t", "x.s.t")) as letters:
        letters._file.execute("PRAGMA max_page_count = 1")
        reader.new = [letter(number, number) for number in range(1, 2000)]
        with pytest.raises(InconclusiveError, match="full") as raised:
            letters.read_on()
    assert "TMPDIR" in raised.value.hint
