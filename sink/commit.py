"""The metadata of a committed offset: which topic it belongs to, and which record lies below it."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from schemas.errors import OffsetsLostError
from schemas.table import FORMAT, check_format


class Committed(NamedTuple):
    """`seq`: of the last record below the offset, 0 if there is none. `began_ms`: when reading began at the start."""

    topic_id: str
    seq: int
    began_ms: int

    def encode(self) -> str:
        """JSON; seq is text, since it is above 2^53."""
        record = {"format": FORMAT, "topic_id": self.topic_id, "seq": str(self.seq), "began_ms": self.began_ms}
        return orjson.dumps(record).decode()


def decode(metadata: str | None, where: str) -> Committed:
    """Raises `OffsetsLostError` for an offset that no sink committed, `FormatError` for a newer sink's."""
    try:
        record = orjson.loads(metadata or "")
        check_format(record, f"commit metadata of {where}")
        return Committed(record["topic_id"], int(record["seq"]), int(record["began_ms"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OffsetsLostError(
            "the committed offset was not written by a sink, so nobody knows what lies below it",
            where=where,
            hint="Delete the group's offsets of this topic, and its index, to build it anew; or take another group.",
        ) from None
