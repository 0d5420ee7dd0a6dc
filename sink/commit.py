"""The metadata of a committed offset: which topic it belongs to, and which record lies below it."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from schemas.errors import OffsetsLostError
from schemas.table import FORMAT, check_format


class Committed(NamedTuple):
    """`seq`: of the last record below the offset, 0 if there is none. `began_ms`: when reading began at the start.

    `read_ms`: every record that was published before this time lies below the offset; 0 if that is not known.
    """

    topic_id: str
    seq: int
    began_ms: int
    read_ms: int = 0

    def encode(self) -> str:
        """JSON; seq is text, since it is above 2^53."""
        record = {"format": FORMAT, "topic_id": self.topic_id, "seq": str(self.seq)}
        return orjson.dumps({**record, "began_ms": self.began_ms, "read_ms": self.read_ms}).decode()


def decode(metadata: str | None, where: str) -> Committed:
    """Raises `OffsetsLostError` for an offset that no sink committed, `FormatError` for a newer sink's."""
    try:
        record = orjson.loads(metadata or "")
        check_format(record, f"commit metadata of {where}")
        return Committed(record["topic_id"], int(record["seq"]), int(record["began_ms"]), int(record.get("read_ms", 0)))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OffsetsLostError(
            "the committed offset was not written by a sink, so nobody knows what lies below it",
            where=where,
            hint="Delete the group's offsets of this topic, and its index, to build it anew; or take another group. "
            "To go back, use `tidemark sink rewind`, which keeps what is noted with an offset.",
        ) from None
