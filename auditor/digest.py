"""What a document's fields come to: equal contents have equal digests. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
import xxhash


def canonical(value: Any) -> bytes:
    """JSON in which only what is equal is equal: keys sorted; 1, 1.0 and true are told apart."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a number over 64 bits or half a surrogate pair, which no event holds
        return json.dumps(value, sort_keys=True).encode()


def digest(source: Mapping[str, Any]) -> int:
    """64 bits of a `_source`. `_cdc.rev` is left out: `_version` tells whether it is right."""
    return xxhash.xxh3_64_intdigest(canonical(settled(source)))


def settled(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """A `_source` without what a repair may change."""
    block = source.get("_cdc")
    if not isinstance(block, Mapping):
        return source
    return {**source, "_cdc": {name: value for name, value in block.items() if name != "rev"}}
