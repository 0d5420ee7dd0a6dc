"""Positions and events as people and programs read them."""

from __future__ import annotations

from typing import Any

import orjson

from cdc.position_store import Stored
from cdc.source.seam import Record
from ops.log import clean

_COLOURS = {"c": "32", "u": "33", "d": "31", "r": "36", "t": "35"}
_VERBS = {"c": "insert", "u": "update", "d": "delete", "r": "read", "t": "barrier"}
_SHOWN_CHARS = 60


def show_position(source: str, stored: Stored) -> dict[str, Any]:
    """`tidemark.position/1`; `position` is null before the first start. A seq is a string, being above 2^53."""
    position = stored.position.to_json() if stored.position is not None else None
    if position is not None:
        position["seq"] = str(position["seq"])
    return {
        "schema": "tidemark.position/1",
        "source": source,
        "position": position,
        "claim": {"instance": stored.claimant, "label": stored.claimed_by} if stored.claimant else None,
    }


def as_position(source: str, stored: Stored, *, as_json: bool) -> str:
    """One JSON object, or a line for each thing to know."""
    shown = show_position(source, stored)
    if as_json:
        return orjson.dumps(shown).decode()
    if shown["position"] is None:
        return f"source {source} has no position yet: it begins at the first `tidemark cdc run`"
    lines = {"source": source, **shown["position"]}
    if shown["claim"]:
        lines["claimed by"] = shown["claim"]["label"]
    return "\n".join(f"{name:12} {_plain(value)}" for name, value in lines.items() if name != "format")


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def as_json_line(record: Record) -> str:
    """`tidemark.tail/1`: topic, key and event; a seq is a string."""
    event = _event(record)
    event["source"]["seq"] = str(event["source"]["seq"])
    if "below" in event:
        event["below"] = str(event["below"])
    key = orjson.loads(record.key)
    line = {"schema": "tidemark.tail/1", "topic": record.topic, "key": key, "event": event}
    return orjson.dumps(line).decode() + "\n"


def as_text(record: Record, *, colour: bool) -> str:
    """One line: when, what, where, which row, and the columns that changed."""
    event = _event(record)
    op, source = event["op"], event["source"]
    verb = _VERBS[op].ljust(7)
    if colour:
        verb = f"\x1b[{_COLOURS[op]}m{verb}\x1b[0m"
    when = _time(source["ts_ms"])
    what = clean(f"{source['db']}.{source['table']} {record.key.decode()} {_columns(event)}".rstrip())
    return f"{when} {verb} {what}\n"


def _event(record: Record) -> dict[str, Any]:
    event: dict[str, Any] = orjson.loads(record.value or b"{}")
    return event


def _time(ts_ms: int) -> str:
    seconds, millis = divmod(ts_ms, 1000)
    return f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{millis:03d}Z"


def _columns(event: dict[str, Any]) -> str:
    before, after = event.get("before") or {}, event.get("after") or {}
    if event["op"] == "u":
        return ", ".join(
            f"{name}: {_value(before.get(name))} → {_value(value)}"
            for name, value in after.items()
            if before.get(name) != value
        )
    return ", ".join(f"{name}: {_value(value)}" for name, value in (after or before).items())


def _value(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
