"""The letters of `<source>.__deadletter` that stand, as its commands read them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple, Self, cast

from confluent_kafka import KafkaError, Message, Producer

from ops.control import ControlReader
from ops.kafka import producer, translate
from ops.settings import Settings
from schemas.deadletter import DeadLetter, dropped_seq, letter, place_of
from schemas.errors import UnreachableError, UsageError
from schemas.event import SEQ_HEADER
from schemas.names import deadletter_topic
from sink.standing import Standing

_SILENCE_S = 60
_FLUSH_S = 30
_Headers = list[tuple[str, str | bytes | None]]
_Done = Callable[[KafkaError | None, Message], None]


class Numbered(NamedTuple):
    """A letter and its number: its offset in the dead-letter topic, so that a key's next letter has another one."""

    number: int
    letter: DeadLetter


class _Found(NamedTuple):
    """A record of the topic that is a letter."""

    key: bytes
    number: int
    value: bytes
    seq: int


def _keep(newest: dict[bytes, _Found], found: _Found) -> None:
    """Of the same seq the later one counts."""
    known = newest.get(found.key)
    if known is None or found.seq >= known.seq:
        newest[found.key] = found


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which letters: all, unless it says less. `tables` are patterns; `reason` is part of type or reason, in any case.

    Times are milliseconds since 1970, the second one is not included.
    """

    numbers: frozenset[int] = frozenset()
    tables: Sequence[str] = ()
    reason: str = ""
    since_ms: int = 0
    until_ms: int = 1 << 62

    def __call__(self, found: Numbered) -> bool:
        about = found.letter
        return (
            (not self.numbers or found.number in self.numbers)
            and (not self.tables or any(fnmatchcase(about.table, pattern) for pattern in self.tables))
            and self.reason.casefold() in f"{about.type} {about.reason}".casefold()
            and self.since_ms <= about.ts_ms < self.until_ms
        )


def no_such(numbers: Collection[int]) -> UsageError:
    """The error for numbers that no standing letter has."""
    return UsageError(
        f"no dead letter stands with number {', '.join(map(str, sorted(numbers)))}",
        hint="See `tidemark sink deadletter list`: a key's next letter has another number.",
    )


class Letterbox:
    """Reads the dead-letter topic, and drops letters from it. Use it in a `with`; not for several threads at once."""

    def __init__(self, settings: Settings, client_id: str) -> None:
        self._settings = settings
        self._client_id = client_id
        self._topic = deadletter_topic(settings.source.name)
        self._reader = ControlReader(settings.kafka, client_id, self._topic)
        self._producer: Producer | None = None
        self._found = Standing()

    def standing(self, wanted: Callable[[Numbered], bool]) -> Iterator[Numbered]:
        """Letters that stand, in the order in which they were written; one at a time is in memory.

        Reads the topic twice: what stands is known only at its end. Raises `FormatError`, `UnreachableError`.
        """
        return self._standing(lambda found: not found.letter.building and wanted(found))

    def building(self, alias: str) -> Iterator[Numbered]:
        """The same of the index that a rebuild builds behind an alias of its own."""
        return self._standing(lambda found: found.letter.building and found.letter.index == alias)

    def _standing(self, wanted: Callable[[Numbered], bool]) -> Iterator[Numbered]:
        for _ in self._read_on():
            pass
        numbers = self._found.numbers()
        due = next(numbers, None)
        if due is None:
            return
        with ControlReader(self._settings.kafka, self._client_id, self._topic) as reader:
            for message in reader.to_end(timeout_s=math.inf, silence_s=_SILENCE_S):
                number, value = message.offset() or 0, message.value()
                while due is not None and due < number:  # compacted away meanwhile
                    due = next(numbers, None)
                if due is None:
                    return
                if number == due and value is not None and wanted(found := Numbered(number, letter(value))):
                    yield found

    def seq(self, key: bytes) -> int:
        """Of the letter of a record key that stood when letters were last read; -1 if none did."""
        return self._found.seq(key)

    def _read_on(self) -> Iterator[_Found]:
        """To the topic's end, keeping what stands. Yields the letters."""
        for message in self._reader.to_end(timeout_s=math.inf, silence_s=_SILENCE_S):
            key, number, value = message.key() or b"", message.offset() or 0, message.value()
            if value is None:
                self._found.dropped(key, dropped_seq(cast("list[tuple[str, bytes]] | None", message.headers())))
            else:
                seq = place_of(value).seq
                self._found.wrote(key, number, seq)
                yield _Found(key, number, value, seq)

    def drop(self, letters: Mapping[bytes, int]) -> None:
        """Drop letters: their keys, and the seq of each. Raises `UnreachableError` if Kafka does not take it."""
        self._put({key: (None, seq) for key, seq in letters.items()})

    def adopt(self, letters: Iterable[DeadLetter], alias: str) -> None:
        """Make letters of an index that was built those of the alias that leads to it now, unless newer ones stand."""
        adopted = [about.model_copy(update={"index": alias, "building": False}) for about in letters]
        self._put({about.record_key(): (about.model_dump_json().encode(), about.seq) for about in adopted})

    def unbury(self, keys: Collection[bytes]) -> None:
        """Letters of these keys may have been written late: where one stands behind a newer one, write that again."""
        last: dict[bytes, int] = {}
        newest: dict[bytes, _Found] = {}
        for found in self._read_on():
            if found.key in keys:
                last[found.key] = found.number
                _keep(newest, found)
        self._put(self._standing_before(newest, last))

    def _put(self, records: Mapping[bytes, tuple[bytes | None, int]]) -> None:
        """Write values, or drop letters, with their seqs.

        A sink may have written a newer letter of a key since it was read: what this would bury is written again.
        """
        due: Mapping[bytes, tuple[bytes | None, int]] = {
            key: record for key, record in records.items() if self._found.seq(key) <= record[1]
        }
        while due:
            places = self._write([(key, value, seq) for key, (value, seq) in due.items()])
            due = self._buried(places, {key: seq for key, (_, seq) in due.items()})

    def _buried(self, places: Mapping[bytes, int], seqs: Mapping[bytes, int]) -> dict[bytes, tuple[bytes, int]]:
        """What stands before these places, newer than what was written there; the newest of each key, if none follows.

        A letter between a look and the write that follows is buried as well, so that whoever writes looks again.
        """
        newest: dict[bytes, _Found] = {}
        for found in self._read_on():
            if found.seq > seqs.get(found.key, found.seq):
                _keep(newest, found)
        return self._standing_before(newest, places)

    def _standing_before(
        self, newest: Mapping[bytes, _Found], places: Mapping[bytes, int]
    ) -> dict[bytes, tuple[bytes, int]]:
        """Those that stand, and would not after a compaction."""
        return {
            key: (found.value, found.seq)
            for key, found in newest.items()
            if found.number < places[key] and self._found.seq(key) == found.seq
        }

    def _write(self, records: Sequence[tuple[bytes, bytes | None, int]]) -> dict[bytes, int]:
        """Keys, values, and seqs of what is dropped; where each key's record stands."""
        places: dict[bytes, int] = {}
        errors: list[KafkaError] = []

        def done(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                errors.append(error)
            else:
                places[message.key() or b""] = message.offset() or 0

        if self._producer is None:
            self._producer = producer(self._settings.kafka, self._client_id)
        for key, value, seq in records:
            headers: _Headers = [(SEQ_HEADER, str(seq).encode())] if value is None else []
            self._produce(self._producer, key, value, headers, done)
        open_ = self._producer.flush(_FLUSH_S)
        if errors:
            raise translate(errors[0], self._settings.kafka.bootstrap_servers)
        if open_:
            raise self._untaken()
        return places

    def _produce(self, sender: Producer, key: bytes, value: bytes | None, headers: _Headers, done: _Done) -> None:
        """Wait while the client's queue is full, which letters of large rows are soon."""
        deadline = time.monotonic() + _FLUSH_S
        while True:
            try:
                sender.produce(self._topic, value, key=key, headers=headers, on_delivery=done)
            except BufferError:
                if time.monotonic() > deadline:
                    raise self._untaken() from None
                sender.poll(1)
            else:
                return

    def _untaken(self) -> UnreachableError:
        return UnreachableError(
            "Kafka does not take what is written of dead letters", where=self._settings.kafka.bootstrap_servers
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self._found.close()
