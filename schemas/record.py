"""What a record of a table's topic says, for everybody who reads one: sink, rebuild, audit, repair."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from schemas.errors import FormatError
from schemas.event import SEQ_HEADER
from schemas.key import BARRIER_KEY, key_text


class Kind(StrEnum):
    """What a record does to its key: a barrier does it to all keys with a lower seq."""

    UPSERT = "upsert"
    DELETE = "delete"
    BARRIER = "barrier"


_UPSERT, _DELETE, _BARRIER = Kind  # an enum's members are slow to look up, and this is done for every record


class Read(NamedTuple):
    """One record. `event`: the envelope, None for a tombstone; `key`: the row key's text, empty for a barrier.

    `below` is a barrier's limit; 0 otherwise.
    """

    kind: Kind
    key: str
    seq: int
    event: dict[str, Any] | None
    below: int = 0


#: Reads one record: key, value, headers, offset. Raises `FormatError` for what cannot have been written so.
Reader = Callable[[bytes | None, bytes | None, Iterable[tuple[str, Any]] | None, int], Read]


def read(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, Any]] | None, offset: int = 0) -> Read:
    """Read one record of tidemark's. Raises `FormatError` for what it cannot have written."""
    del offset
    try:
        if key is None:
            raise ValueError("no key")  # noqa: TRY301  one exit for all that is wrong with a record
        if value is None:
            return Read(_DELETE, key_text(key), _seq_header(headers), None)
        event = orjson.loads(value)
        seq = int(event["source"]["seq"])
        if event["op"] == "t":
            if key != BARRIER_KEY:
                raise ValueError("a barrier has the key of a row")  # noqa: TRY301
            return Read(_BARRIER, "", seq, event, int(event["below"]))
        return Read(_DELETE if event["after"] is None else _UPSERT, key_text(key), seq, event)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(
            f"not a change event: {type(error).__name__}: {error}",
            hint="Only tidemark may write to its topics; see who else does. `docs/errors/format.md` says what then.",
        ) from None


def _seq_header(headers: Iterable[tuple[str, Any]] | None) -> int:
    for name, value in headers or ():
        if name == SEQ_HEADER:
            return int(value)
    raise ValueError("a tombstone without a seq header")
