"""The indexed document: the row's columns, and the `_cdc` block that the audit lives on."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import xxhash

REV_LIMIT = 1023  # the low 10 bits of seq
_FP_MASK = (1 << 26) - 1
_PLACE = struct.Struct(">xIQ")  # a zero byte, partition, offset

#: Elasticsearch's mapping of the block. No `ignore_above`: a key that is not indexed could not be audited.
CDC_MAPPING: Mapping[str, Any] = {
    "properties": {
        "key": {"type": "keyword"},
        "topic_id": {"type": "keyword"},
        "partition": {"type": "integer"},
        "offset": {"type": "long"},
        "seq": {"type": "long"},
        "rev": {"type": "integer"},
        "fp": {"type": "long"},
        "ts_ms": {"type": "long"},
    }
}


def fingerprint(key: str, partition: int, offset: int) -> int:
    """26 bits of xxh3 over key text, zero byte, partition and offset; sums stay exact in doubles up to 2^27 of them."""
    return fingerprint_of(key.encode(), partition, offset)


def fingerprint_of(key: bytes, partition: int, offset: int) -> int:
    """The same for a key text that is UTF-8 already."""
    return xxhash.xxh3_64_intdigest(key + _PLACE.pack(partition, offset)) & _FP_MASK


def fingerprints_of(keys: Iterable[bytes], partitions: Iterable[int], offsets: Iterable[int]) -> list[int]:
    """The same of many."""
    digest, place, mask = xxhash.xxh3_64_intdigest, _PLACE.pack, _FP_MASK
    places = map(place, partitions, offsets)
    return [digest(key + where) & mask for key, where in zip(keys, places, strict=True)]


def field_name(column: str) -> str:
    """A column's field: a leading `_` gets one more (`_id` and its kin are taken), `.` and `%` are percent-escaped."""
    escaped = column.replace("%", "%25").replace(".", "%2E")
    return f"_{escaped}" if escaped.startswith("_") else escaped


def cdc_block(
    *, key: str, topic_id: str, partition: int, offset: int, seq: int, ts_ms: int, rev: int = 0
) -> dict[str, Any]:
    """The `_cdc` block: which record of which topic this document shows. `ts_ms` is the commit time."""
    return {
        "key": key,
        "topic_id": topic_id,
        "partition": partition,
        "offset": offset,
        "seq": seq,
        "rev": rev,
        "fp": fingerprint(key, partition, offset),
        "ts_ms": ts_ms,
    }


def document(after: Mapping[str, Any], block: Mapping[str, Any]) -> dict[str, Any]:
    """The `_source` of a row."""
    return {**_fields(after), "_cdc": block}


_SAME: set[str] = set()  # columns seen whose field has their name; as many as there are columns


def _fields(after: Mapping[str, Any]) -> Mapping[str, Any]:
    if as_columns(after):
        return after
    return {field_name(column): value for column, value in after.items()}


def as_columns(after: Mapping[str, Any]) -> bool:
    """True if every field of a row has its column's name."""
    if _SAME.issuperset(after):
        return True
    _SAME.update(column for column in after if field_name(column) == column)
    return _SAME.issuperset(after)


_SOURCE = b'%b,"_cdc":{"key":%b%b%d,"seq":%d,"rev":0,"fp":%d,"ts_ms":%d}}'


class Origin:
    """What the documents of one partition of a topic have in common; makes their JSON, as `document` would.

    `block`: what is in `_cdc` between key and offset.
    """

    __slots__ = ("_partition", "block")

    def __init__(self, topic_id: str, partition: int) -> None:
        self._partition = partition
        self.block = b',"topic_id":%b,"partition":%d,"offset":' % (orjson.dumps(topic_id), partition)

    def source(self, after: Mapping[str, Any], *, key: str, offset: int, seq: int, ts_ms: int) -> bytes:
        """The `_source` of a row, `_cdc` included."""
        return _SOURCE % (
            orjson.dumps(_fields(after))[:-1],
            orjson.dumps(key),
            self.block,
            offset,
            seq,
            fingerprint(key, self._partition, offset),
            ts_ms,
        )

    def around(self, fields: bytes, *, key: str, offset: int, seq: int, ts_ms: int) -> bytes:
        """The same of fields that are a JSON object already."""
        made = _SOURCE % (
            fields[:-1], orjson.dumps(key), self.block, offset, seq, fingerprint(key, self._partition, offset), ts_ms,
        )  # fmt: skip
        return made if fields != b"{}" else made.replace(b"{,", b"{", 1)
