"""Rows that a new index refused: their letters are kept apart until it has taken over, or dropped if it never does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from ops.settings import Settings
from schemas import names
from schemas.deadletter import DeadLetter
from schemas.report import FindingClass, TableReport
from sink.letterbox import Letterbox, Numbered

_MOST = 1000
_MOST_BYTES = 16 << 20


class Refusals:
    """Of one table's rebuild. `alias` is the one that is searched. Raises `FormatError`, `UnreachableError`."""

    def __init__(self, settings: Settings, topic: str, alias: str) -> None:
        self._settings = settings
        self._topic = topic
        self._alias = alias

    def forget(self) -> None:
        """Drop what an index that is given up has refused."""
        self._each(_drop)

    def adopt(self) -> None:
        """The new index has taken over: its letters are the table's. Done twice, it does nothing more."""

        def move(letterbox: Letterbox, letters: Sequence[DeadLetter]) -> None:
            letterbox.adopt(letters, self._alias)
            _drop(letterbox, letters)

        self._each(move)

    def heal(self, topic_id: str, passed: Mapping[int, int]) -> None:
        """Drop the table's letters of events that the new index took, or what came after them.

        They would explain a document that is lost later. `passed`: partition -> offset below which it was given
        everything. To be called when it has taken over, and before any of its own letters is moved by `adopt`.
        """

        def healed(found: Numbered) -> bool:
            about = found.letter
            return (
                (about.topic, about.topic_id, about.index) == (self._topic, topic_id, self._alias)
                and about.offset < passed.get(about.partition, 0)
                and letterbox.seq(self._refused_anew(about)) < about.seq
            )

        with self._letterbox() as letterbox:
            for batch in _batches(found.letter for found in letterbox.standing(healed)):
                _drop(letterbox, batch)

    def _refused_anew(self, about: DeadLetter) -> bytes:
        """The key of the letter that the new index would have of the same row."""
        return about.model_copy(update={"index": names.next_alias(self._alias), "building": True}).record_key()

    def _each(self, apply: Callable[[Letterbox, Sequence[DeadLetter]], None]) -> None:
        with self._letterbox() as letterbox:
            letters = self._building(letterbox)
            for batch in _batches(letters):
                apply(letterbox, batch)

    def new(self, report: TableReport) -> int:
        """How many rows are missing for a letter of the new index, and not for the same one of the index searched now.

        Those that the report does not list count as new.
        """
        refused = report.counts.get(FindingClass.DEAD_LETTERED, 0)
        if not refused:
            return 0
        listed = {one.expected.seq for one in report.findings if one.expected is not None}

        def known(one: Numbered) -> bool:
            return one.letter.topic == self._topic and one.letter.seq in listed

        with self._letterbox() as letterbox:
            before = {found.letter.seq for found in letterbox.standing(known)}
        return refused - len(before)

    def why(self) -> str:
        """What was said of the first of them."""
        with self._letterbox() as letterbox:
            first = next(self._building(letterbox), None)
        return f"{first.type}: {first.reason}"[:300] if first else ""

    def _building(self, letterbox: Letterbox) -> Iterator[DeadLetter]:
        return (found.letter for found in letterbox.building(names.next_alias(self._alias)))

    def _letterbox(self) -> Letterbox:
        return Letterbox(self._settings, f"{self._settings.source.name}-rebuild")


def _batches(letters: Iterable[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """Of as many as are worth a request, and of not too many bytes: a letter holds its event."""
    batch, size = list[DeadLetter](), 0
    for one in letters:
        batch.append(one)
        size += len(one.value or "")
        if len(batch) >= _MOST or size >= _MOST_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _drop(letterbox: Letterbox, letters: Sequence[DeadLetter]) -> None:
    letterbox.drop({letter.record_key(): letter.seq for letter in letters})
