"""The row changes that a topic holds, without what stands beside them: tombstones, barriers, rows of a snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import orjson
from confluent_kafka import Message

from auditor.binlog_store import Change
from auditor.decode import place
from schemas.event import NEW_KEY_HEADER, OLD_KEY_HEADER
from schemas.key import key_text


def row_change(message: Message, *, with_key: bool) -> Change | None:
    """The row change of a record; the two events of a changed key are one update of the old key.

    `with_key` False: the key's text is left empty, since the binlog's side cannot tell it alike.
    """
    value, key = message.value(), message.key()
    if value is None or key is None:
        return None
    headers = dict(cast("Sequence[tuple[str, Any]]", message.headers() or ()))
    event = orjson.loads(value)
    if event["op"] not in ("c", "u", "d") or NEW_KEY_HEADER in headers:
        return None
    source = event["source"]
    old = headers.get(OLD_KEY_HEADER)
    partition, offset = place(message)
    return Change(
        transaction=source["gtid"] or f"{source['file']}:{source['pos']}",
        table=f"{source['db']}.{source['table']}",
        row=source["row"],
        op="u" if old is not None else event["op"],
        key=key_text(old if old is not None else key) if with_key else "",
        file=source["file"],
        pos=source["pos"],
        partition=partition,
        offset=offset,
        seq=int(source["seq"]),
        ts_ms=source["ts_ms"],
    )
