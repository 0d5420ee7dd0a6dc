"""One event as lines of a bulk request: index or delete, with the event's seq as the version."""

from __future__ import annotations

import orjson

from schemas.document import cdc_block, document
from schemas.key import document_id
from sink.part import Item


def lines(item: Item) -> bytes:
    """The action line, and for a row its document; each ends in a newline."""
    target = {
        "_index": item.part.alias,
        "_id": document_id(item.key),
        "version": item.seq,
        "version_type": "external",
    }
    if item.after is None:
        return orjson.dumps({"delete": target}, option=orjson.OPT_APPEND_NEWLINE)
    block = cdc_block(
        key=item.key,
        topic_id=item.part.topic_id,
        partition=item.part.number,
        offset=item.offset,
        seq=item.seq,
        ts_ms=item.ts_ms,
    )
    head = orjson.dumps({"index": target}, option=orjson.OPT_APPEND_NEWLINE)
    return head + orjson.dumps(document(item.after, block), option=orjson.OPT_APPEND_NEWLINE)
