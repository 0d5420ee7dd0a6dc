"""The plain way: all keys of the topic in a dictionary, all documents by `helpers.scan`, and what is in one only."""

from __future__ import annotations

import time
from typing import NamedTuple

import orjson
from confluent_kafka import Consumer, TopicPartition
from elasticsearch import Elasticsearch, helpers

from bench.sink.rows import PARTITIONS
from schemas.key import key_text

_SIZE = 5000


class Scanned(NamedTuple):
    """`read_s`: of reading the keys, `scan_s`: of reading the documents beside them; `wrong` differ."""

    read_s: float
    scan_s: float
    wrong: int


def scan(kafka: str, topic: str, url: str, index: str, rows: int) -> Scanned:
    """`rows`: records that the topic has."""
    began = time.monotonic()
    places = _places(kafka, topic, rows)
    read_s = time.monotonic() - began
    client = Elasticsearch([url], request_timeout=120)
    wrong = 0
    query = {"query": {"match_all": {}}, "_source": ["_cdc.partition", "_cdc.offset"]}
    for hit in helpers.scan(client, index=index, query=query, size=_SIZE):
        block = hit["_source"]["_cdc"]
        wrong += places.pop(hit["_id"], None) != (block["partition"], block["offset"])
    client.close()
    return Scanned(read_s, time.monotonic() - began - read_s, wrong + len(places))


def _places(kafka: str, topic: str, rows: int) -> dict[str, tuple[int, int]]:
    consumer = Consumer(
        {"bootstrap.servers": kafka, "group.id": f"{topic}-scan", "enable.auto.commit": False,
         "isolation.level": "read_committed", "auto.offset.reset": "earliest", "fetch.queue.backoff.ms": 10}
    )  # fmt: skip
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    found: dict[str, tuple[int, int]] = {}
    while rows:
        for message in consumer.consume(min(rows, 10_000), 1.0):
            rows -= 1
            if orjson.loads(message.value() or b"")["after"] is not None:
                found[key_text(message.key() or b"")] = (message.partition() or 0, message.offset() or 0)
    consumer.close()
    return found
