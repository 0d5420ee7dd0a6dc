"""Transforms as a user would write them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

Event = Mapping[str, Any]
NO_FUNCTION = 7


def upper(event: Event) -> dict[str, Any] | None:
    """Notes in capitals and a field that is no column; nothing for a note that is empty."""
    row = event["after"]
    if row["note"] == "":
        return None
    return {**row, "note": row["note"].upper(), "words": row["note"].split(), "table": event["source"]["table"]}


def shouting(event: Event) -> dict[str, Any]:
    """Text in capitals."""
    return {**event["after"], "text": event["after"]["text"].upper()}


def picky(event: Event) -> dict[str, Any]:
    """Raises for a note that is no number."""
    return {"id": event["after"]["id"], "number": int(event["after"]["note"])}


def nothing_much(event: Event) -> dict[str, Any]:
    return {}


def changing(event: Event) -> dict[str, Any]:
    """Changes the event that it is given."""
    event["after"]["note"] = "changed"
    event["source"].clear()
    return dict(event["after"])


def dated(event: Event) -> dict[str, Any]:
    return {"day": date(2026, 11, 21)}


def returns_a_list(event: Event) -> list[int]:
    return [1]


def returns_numbered_fields(event: Event) -> dict[int, int]:
    return {1: 1}


def returns_no_json(event: Event) -> dict[str, Any]:
    return {"price": Decimal(1)}


def raises(event: Event) -> dict[str, Any]:
    raise LookupError("not here")
