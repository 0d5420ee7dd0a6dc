"""The metadata of a committed offset: which topic it belongs to, and which record lies below it."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from schemas.errors import OffsetsLostError
from schemas.table import FORMAT, check_format


class Sound(NamedTuple):
    """A place below which everything is known to be in our index: an offset, with `seq` and `read_ms` as there."""

    offset: int
    seq: int
    read_ms: int


class Committed(NamedTuple):
    """`seq`: of the last record below the offset, 0 if there is none. `began_ms`: when reading began at the start.

    `read_ms`: every record that was published before this time lies below the offset; 0 if that is not known.
    `sound`: where the next sink begins, if nobody has looked since where the alias leads; None if that is the offset.
    """

    topic_id: str
    seq: int
    began_ms: int
    read_ms: int = 0
    sound: Sound | None = None

    def encode(self) -> str:
        """JSON; seq is text, since it is above 2^53."""
        record = {"format": FORMAT, "topic_id": self.topic_id, "seq": str(self.seq)}
        record |= {"began_ms": self.began_ms, "read_ms": self.read_ms}
        if self.sound is not None:
            record["sound"] = {**self.sound._asdict(), "seq": str(self.sound.seq)}
        return orjson.dumps(record).decode()


def decode(metadata: str | None, where: str) -> Committed:
    """Raises `OffsetsLostError` for an offset that no sink committed, `FormatError` for a newer sink's."""
    try:
        record = orjson.loads(metadata or "")
        check_format(record, f"commit metadata of {where}")
        return Committed(
            record["topic_id"],
            int(record["seq"]),
            int(record["began_ms"]),
            int(record.get("read_ms", 0)),
            _sound(record.get("sound")),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OffsetsLostError(
            "the committed offset was not written by a sink, so nobody knows what lies below it",
            where=where,
            hint="Delete the group's offsets of this topic, and its index, to build it anew; or take another group. "
            "To go back, use `tidemark sink rewind`, which keeps what is noted with an offset.",
        ) from None


def _sound(record: dict[str, Any] | None) -> Sound | None:
    return Sound(**{name: int(value) for name, value in record.items()}) if record else None
