"""The usual way from a topic into an index: `helpers.parallel_bulk` of Elasticsearch's client, fed by a consumer.

Run as `python -m bench.sink.helpers`. It keeps neither the order of a key nor the offsets.
"""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from typing import Any

import orjson
from confluent_kafka import Consumer, TopicPartition
from elasticsearch import Elasticsearch, helpers

from bench.sink.rows import PARTITIONS
from schemas.document import cdc_block, document
from schemas.key import document_id, key_text


def actions(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The same documents as the sink's, as the helpers want them."""
    consumer = Consumer(
        {"bootstrap.servers": options.kafka, "group.id": f"{options.topic}-helpers", "enable.auto.commit": False,
         "isolation.level": "read_committed", "auto.offset.reset": "earliest", "fetch.queue.backoff.ms": 10}
    )  # fmt: skip
    consumer.assign([TopicPartition(options.topic, number, 0) for number in range(PARTITIONS)])
    left = options.rows
    while left:
        for message in consumer.consume(min(left, 1000), 1.0):
            event, text = orjson.loads(message.value() or b""), key_text(message.key() or b"")
            source = event["source"]
            block = cdc_block(
                key=text, topic_id=options.topic_id, partition=message.partition() or 0, offset=message.offset() or 0,
                seq=source["seq"], ts_ms=source["ts_ms"],
            )  # fmt: skip
            left -= 1
            yield {
                "_index": options.topic, "_id": document_id(text), "version": source["seq"],
                "version_type": "external", "_source": document(event["after"], block),
            }  # fmt: skip
    consumer.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sink.helpers", description=__doc__)
    for name in ("url", "kafka", "topic", "topic_id"):
        parser.add_argument(name)
    for name in ("rows", "items", "connections"):
        parser.add_argument(name, type=int)
    options = parser.parse_args()
    client = Elasticsearch([options.url], connections_per_node=options.connections, request_timeout=120)
    done = helpers.parallel_bulk(
        client, actions(options), thread_count=options.connections, chunk_size=options.items, require_alias=True
    )
    for _ in done:
        pass
    signal.pause()  # until we are stopped: what we cost is read from /proc


if __name__ == "__main__":
    main()
