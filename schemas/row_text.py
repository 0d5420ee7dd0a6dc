"""A row as the text of its event has it: what a document copies, digit for digit."""

from __future__ import annotations

import orjson

_CREATED = b'{"before":null,"after":{'
_AFTER = b'},"after":{'
_END = b'},"source":{'


def row_text(value: bytes) -> bytes | None:
    """The JSON object in `after` of one of tidemark's events; None where it cannot be told.

    A quote within a string is escaped, so what looks like a name is one; and no name after the row's end is `source`.
    """
    end = value.rfind(_END) + 1
    if value.startswith(_CREATED):
        begin = len(_CREATED) - 1
    else:
        begin = value.find(_AFTER) + len(_AFTER) - 1
        if value.find(_AFTER, begin, end) >= 0:
            begin = _begin(value, end)
    text = value[begin:end]
    # A line of a bulk request ends where the first newline is.
    return text if text.startswith(b"{") and b"\n" not in text else None


def _begin(value: bytes, end: int) -> int:
    """Where the row begins in an event in which JSON columns have an `after` too: only from there it is one object."""
    begin = -1
    while (begin := value.find(_AFTER, begin + 1, end)) >= 0:
        start = begin + len(_AFTER) - 1
        try:
            orjson.loads(value[start:end])
        except ValueError:
            continue
        return start
    return end
