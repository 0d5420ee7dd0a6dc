"""One event as lines of a bulk request: index or delete, with the event's seq as the version.

Here an event becomes a document or a delete, and nowhere else; what is in the document is decided by its table's shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from schemas.document import Origin, as_columns
from schemas.errors import DocumentError
from schemas.key import document_id
from schemas.row_text import row_text
from sink.part import Item, Part

#: Key, offset, seq, the envelope (None for a tombstone), commit time, the record's value.
LinesOf = Callable[[str, int, int, Mapping[str, Any] | None, int, bytes | None], bytes]


class Actions:
    """Makes the actions of one partition; what they have in common is encoded once.

    `lines_of` gives the action line of an event's parts, and for a row its document; each ends in a newline. Nothing at
    all if no document can be made of the event: then `lines` says why.
    """

    __slots__ = ("_as_it_is", "_copied", "_delete", "_index", "_origin", "_shape", "lines_of")

    def __init__(self, part: Part) -> None:
        alias = orjson.dumps(part.alias)
        self._index = b'{"index":{"_index":%b,"_id":' % alias
        self._delete = b'{"delete":{"_index":%b,"_id":' % alias
        self._origin = Origin(part.topic_id, part.number)
        self._shape = part.shape
        self._as_it_is = part.shape.plain and not part.shape.routed
        self._copied = part.shape.copied
        self.lines_of: LinesOf = (
            self._of_shape if not self._as_it_is else self._of_text if self._copied else self._of_row
        )

    @property
    def heads(self) -> dict[str, bytes]:
        """What the lines of an index and of a delete begin with, and the `block` of `Origin`."""
        return {"index": self._index, "delete": self._delete, "block": self._origin.block}

    def lines(self, item: Item) -> bytes:
        """The same, of an item. Raises `DocumentError` if no document can be made of it."""
        if self._as_it_is:
            return self.lines_of(item.key, item.offset, item.seq, {"after": item.after}, item.ts_ms, item.value)
        event = self._event(item)
        return self._shaped(item.key, item.offset, item.seq, event, item.ts_ms, item.value)

    def _event(self, item: Item) -> Mapping[str, Any] | None:
        return None if item.value is None else self._shape.read(item.kafka_key, item.value, None, item.offset).event

    def lines_or_none(self, item: Item) -> bytes:
        """The same, and nothing if no document can be made of it."""
        try:
            return self.lines(item)
        except DocumentError:
            return b""

    def _of_row(
        self, key: str, offset: int, seq: int, event: Mapping[str, Any] | None, ts_ms: int, _value: bytes | None
    ) -> bytes:
        target = orjson.dumps(document_id(key))
        after = None if event is None else event["after"]
        if after is None:
            return b'%b%b,"version":%d,"version_type":"external"}}\n' % (self._delete, target, seq)
        source = self._origin.source(after, key=key, offset=offset, seq=seq, ts_ms=ts_ms)
        return b'%b%b,"version":%d,"version_type":"external"}}\n%b\n' % (self._index, target, seq, source)

    def _of_text(  # noqa: PLR0917  called for every record
        self, key: str, offset: int, seq: int, event: Mapping[str, Any] | None, ts_ms: int, value: bytes | None
    ) -> bytes:
        fields = None
        if event is not None and value is not None and event["after"] is not None and as_columns(event["after"]):
            fields = row_text(value)
        if fields is None:
            return self._of_row(key, offset, seq, event, ts_ms, value)
        target = orjson.dumps(document_id(key))
        source = self._origin.around(fields, key=key, offset=offset, seq=seq, ts_ms=ts_ms)
        return b'%b%b,"version":%d,"version_type":"external"}}\n%b\n' % (self._index, target, seq, source)

    def _of_shape(  # noqa: PLR0917  called for every record
        self, key: str, offset: int, seq: int, event: Mapping[str, Any] | None, ts_ms: int, value: bytes | None
    ) -> bytes:
        try:
            return self._shaped(key, offset, seq, event, ts_ms, value)
        except DocumentError:
            return b""

    def _shaped(  # noqa: PLR0917  called for every record
        self, key: str, offset: int, seq: int, event: Mapping[str, Any] | None, ts_ms: int, value: bytes | None
    ) -> bytes:
        target = self._target(key)
        fields = None if event is None else self._shape.json(event, value if self._copied else None)
        if fields is None:
            return b'%b%b,"version":%d,"version_type":"external"}}\n' % (self._delete, target, seq)
        source = self._origin.around(fields, key=key, offset=offset, seq=seq, ts_ms=ts_ms)
        return b'%b%b,"version":%d,"version_type":"external"}}\n%b\n' % (self._index, target, seq, source)

    def erasure(self, key: str, version: int) -> bytes:
        """The line that deletes a document that is older than a version."""
        return b'%b%b,"version":%d,"version_type":"external"}}\n' % (self._delete, self._target(key), version)

    def _target(self, key: str) -> bytes:
        id_ = document_id(key)
        target, routing = orjson.dumps(id_), self._shape.routing(id_)
        return target if routing is None else target + b',"routing":' + orjson.dumps(routing)
