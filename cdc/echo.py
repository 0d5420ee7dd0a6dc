"""A record that changes nothing, for a partition in which a transaction of ours has to write its end."""

from __future__ import annotations

import json
from typing import Any

import orjson

from cdc.source.seam import Record
from schemas.event import SEQ_HEADER
from schemas.key import BARRIER_KEY


def echo(last: Record, seq: int) -> Record:
    """What the partition's last record left behind, said again with a higher seq: no row change is told twice.

    A row as it is now (`op` r, as a snapshot reads it), a tombstone, or the same barrier: were it another one,
    compaction would keep it in place of the first.
    """
    event: dict[str, Any] = _exact(last.value) if last.value is not None else {"after": None}
    if last.key != BARRIER_KEY and event["after"] is None:
        return last._replace(value=None, headers=((SEQ_HEADER, b"%d" % seq),))
    event["source"]["seq"] = seq
    if last.key != BARRIER_KEY:
        event["source"]["snapshot"] = "incremental"
        event |= {"op": "r", "before": None, "transaction": None}
    return last._replace(value=orjson.dumps(event), headers=())


def _exact(value: bytes) -> Any:
    """Numbers stay as they are written: those in JSON columns may have more digits than a double."""

    def as_written(digits: str) -> orjson.Fragment:
        return orjson.Fragment(digits.encode())

    return json.loads(value, parse_float=as_written, parse_int=as_written)
