"""One event as lines of a bulk request: index or delete, with the event's seq as the version.

Here an event becomes a document or a delete, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from schemas.document import Origin
from schemas.key import document_id
from sink.part import Item, Part


class Actions:
    """Makes the actions of one partition; what they have in common is encoded once."""

    __slots__ = ("_delete", "_index", "_origin")

    def __init__(self, part: Part) -> None:
        alias = orjson.dumps(part.alias)
        self._index = b'{"index":{"_index":%b,"_id":' % alias
        self._delete = b'{"delete":{"_index":%b,"_id":' % alias
        self._origin = Origin(part.topic_id, part.number)

    def lines(self, item: Item) -> bytes:
        """The action line, and for a row its document; each ends in a newline."""
        return self.lines_of(item.key, item.offset, item.seq, item.after, item.ts_ms)

    def lines_of(self, key: str, offset: int, seq: int, after: Mapping[str, Any] | None, ts_ms: int) -> bytes:
        """The same, of an event's parts."""
        target = orjson.dumps(document_id(key))
        if after is None:
            return b'%b%b,"version":%d,"version_type":"external"}}\n' % (self._delete, target, seq)
        source = self._origin.source(after, key=key, offset=offset, seq=seq, ts_ms=ts_ms)
        return b'%b%b,"version":%d,"version_type":"external"}}\n%b\n' % (self._index, target, seq, source)
