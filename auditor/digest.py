"""What a document's fields come to: equal contents have equal digests. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
import xxhash


def canonical(value: Any) -> bytes:
    """JSON in which only what is equal is equal: keys sorted; 1, 1.0 and true are told apart.

    A whole number over 64 bits is the nearest double, as an event's is when it is read.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return _odd(value)


def _odd(value: Any) -> bytes:
    try:
        return orjson.dumps(_doubles(value), option=orjson.OPT_SORT_KEYS)
    except (TypeError, OverflowError):  # half a surrogate pair, or more than a double holds: no event does
        return json.dumps(value, sort_keys=True).encode()


def _doubles(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _doubles(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_doubles(inner) for inner in value]
    return float(value) if type(value) is int and not -(1 << 63) <= value < 1 << 64 else value


def digest(source: Mapping[str, Any]) -> int:
    """64 bits of a `_source`. `_cdc.rev` is left out: `_version` tells whether it is right."""
    return xxhash.xxh3_64_intdigest(canonical(settled(source)))


def settled(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """A `_source` without what a repair may change."""
    block = source.get("_cdc")
    if not isinstance(block, Mapping):
        return source
    return {**source, "_cdc": {name: value for name, value in block.items() if name != "rev"}}
