"""A letter that is replayed: what has come since its event, and how it ended."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sink.letterbox import Numbered


class Ending(StrEnum):
    """What became of a letter; it is dropped if it was `indexed` or `overtaken`, and stands otherwise."""

    PLANNED = "planned"  # only in a dry run: it would be indexed
    INDEXED = "indexed"
    OVERTAKEN = "overtaken"  # its key, or a barrier, has come again
    REFUSED = "refused"  # Elasticsearch still does not take it
    LEFT = "left"  # it cannot be told whether it has been overtaken, or the index is not ready for it


class Case:
    """`key` is Kafka's, `text` what a document shows of it, `record` the letter's own key.

    `there`: its event is still in the topic. `overtaken_by`: the seq of the newest record that makes its event void, 0
    if there is none; `erased_below`: the version with which that record deletes the document, 0 if it does not.
    """

    __slots__ = (
        "ending", "erased_below", "id", "key", "number", "offset", "overtaken_by", "partition", "reason", "record",
        "seq", "table", "text", "there", "topic", "topic_id",
    )  # fmt: skip

    def __init__(self, found: Numbered) -> None:
        letter = found.letter
        self.number = found.number
        self.table = letter.table
        self.topic = letter.topic
        self.topic_id = letter.topic_id
        self.partition = letter.partition
        self.offset = letter.offset
        self.key = letter.key.encode()
        self.text = letter.key_text
        self.id = letter.id
        self.seq = letter.seq
        self.record = letter.record_key()
        self.there = False
        self.overtaken_by = self.erased_below = 0
        self.ending: Ending | None = None
        self.reason = ""

    def end(self, ending: Ending, reason: str = "") -> None:
        self.ending, self.reason = ending, reason

    @property
    def dropped(self) -> bool:
        return self.ending in (Ending.INDEXED, Ending.OVERTAKEN)

    def to_json(self) -> dict[str, Any]:
        """One of `letters` in `tidemark.sink.deadletter.replay/1`."""
        return {
            "number": self.number,
            "table": self.table,
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "id": self.id,
            "seq": str(self.seq),
            "outcome": self.ending,
            "reason": self.reason,
        }
