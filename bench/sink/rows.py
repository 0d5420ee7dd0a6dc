"""The rows that are indexed: as the records that cdc would publish of them, and as documents in bulk bodies."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from schemas.document import cdc_block, document
from schemas.key import document_id, kafka_key, key_text, partition_of
from schemas.table import Column, ColumnType, Table

PARTITIONS = 6
COLUMNS = (
    Column(name="id", type=ColumnType.BIGINT),
    Column(name="customer", type=ColumnType.INT),
    Column(name="name", type=ColumnType.VARCHAR),
    Column(name="status", type=ColumnType.ENUM),
    Column(name="amount", type=ColumnType.DECIMAL),
    Column(name="currency", type=ColumnType.CHAR),
    Column(name="note", type=ColumnType.VARCHAR),
    Column(name="ratio", type=ColumnType.DOUBLE),
    Column(name="created", type=ColumnType.DATETIME, fsp=3),
    Column(name="updated", type=ColumnType.TIMESTAMP, fsp=6),
)
_FIRST_SEQ = 1 << 50
_SEQ_STEP = 1024
_PER_TRANSACTION = 500
_NOW_MS = 1_795_256_817_231  # when all of it was committed, as far as the bodies are concerned


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A topic that holds rows 1 to `rows`."""

    source: str
    topic_id: str
    rows: int

    @property
    def table(self) -> Table:
        return table(self.source)


def table(source: str) -> Table:
    return Table(
        db="bench", name="rows10", version=1, columns=COLUMNS, primary_key=("id",), topic=f"{source}.bench.rows10"
    )


def row(number: int) -> dict[str, Any]:
    """Ten columns of the usual kinds."""
    return {
        "id": number,
        "customer": number % 9973,
        "name": f"Customer number {number} of many",
        "status": "paid",
        "amount": f"{number % 9973}.99",
        "currency": "EUR",
        "note": "Zürich, a note of the usual length",
        "ratio": number / 1e6,
        "created": "2026-11-21T10:26:57.231",
        "updated": "2026-11-21T10:26:57.231987Z",
    }


def key(number: int) -> bytes:
    return kafka_key({"id": number})


def first_seq(number: int) -> int:
    """Of the event that inserts a row."""
    return _FIRST_SEQ + _SEQ_STEP * number


def value(source: str, number: int, now_ms: int, seq: int | None = None) -> bytes:
    """The event of an insert, laid out as cdc does it; with a seq of its own, the row is written again."""
    transaction, place = divmod(number, _PER_TRANSACTION)
    gtid = f"3e11fa47-71ca-11e1-9e33-c80aa9429562:{transaction + 1}"
    about = {
        "version": "0.1.0", "connector": "mysql", "name": source, "ts_ms": now_ms, "ts_us": now_ms * 1000,
        "snapshot": "false", "db": "bench", "table": "rows10", "table_version": 1, "server_id": 1, "gtid": gtid,
        "file": "bin.000001", "pos": 4 + transaction * 60_000, "row": place, "thread": 23,
        "seq": first_seq(number) if seq is None else seq,
    }  # fmt: skip
    order = {"id": gtid, "total_order": place + 1, "data_collection_order": place + 1}
    event = {"before": None, "after": row(number), "source": about, "transaction": order, "op": "c"}
    return orjson.dumps({**event, "ts_ms": now_ms, "ts_us": now_ms * 1000})


def bodies(filled: Filled, items: int) -> Iterator[bytes]:
    """The documents of these rows in the order of their ids, in requests of `items` each."""
    offsets = [itertools.count() for _ in range(PARTITIONS)]
    lines: list[bytes] = []
    for number in range(1, filled.rows + 1):
        raw = key(number)
        text, partition, seq = key_text(raw), partition_of(raw, PARTITIONS), first_seq(number)
        action = {
            "_index": filled.table.topic, "_id": document_id(text), "version": seq, "version_type": "external"
        }  # fmt: skip
        block = cdc_block(
            key=text, topic_id=filled.topic_id, partition=partition, offset=next(offsets[partition]), seq=seq,
            ts_ms=_NOW_MS,
        )  # fmt: skip
        lines += orjson.dumps({"index": action}), orjson.dumps(document(row(number), block))
        if number % items == 0 or number == filled.rows:
            yield b"\n".join([*lines, b""])
            lines = []
