"""The row key in its three forms: Kafka key, document id, partition."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

ID_LIMIT_BYTES = 512  # Elasticsearch refuses a longer _id
HASHED = "sha256:"
BARRIER_KEY = b'"barrier"'  # a JSON string: no row key, being an object, is one


def kafka_key(columns: Mapping[str, Any]) -> bytes:
    """The Kafka key: the primary key columns in key order, as compact JSON."""
    return orjson.dumps(columns)


def key_text(key: bytes) -> str:
    """The row key as text: one column's value as it is, several as a compact JSON array."""
    return row_key_text(orjson.loads(key))


def row_key_text(columns: Mapping[str, Any]) -> str:
    """The same, of the key's columns."""
    if len(columns) == 1:
        (value,) = columns.values()
        if type(value) is int:
            return str(value)
        return value if isinstance(value, str) else orjson.dumps(value).decode()
    return orjson.dumps(list(columns.values())).decode()


def document_id(text: str) -> str:
    """The `_id` of a row key: the text, or its hash where Elasticsearch would refuse or confuse the text."""
    raw = text.encode()
    if raw and len(raw) <= ID_LIMIT_BYTES and not text.startswith(HASHED):
        return text
    return HASHED + hashlib.sha256(raw).hexdigest()


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Java's default partitioner chooses for a key."""
    return (_murmur2(key) & 0x7FFFFFFF) % partitions


def _murmur2(data: bytes) -> int:
    # org.apache.kafka.common.utils.Utils.murmur2
    length = len(data)
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ length) & mask
    whole = length & ~3
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little") * m & mask
        k = (k ^ (k >> 24)) * m & mask
        h = (h * m & mask) ^ k
    if length > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ (h >> 13)) * m & mask
    return h ^ (h >> 15)
