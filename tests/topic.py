"""What is in the topic for a committed reader, by kafka-python; and what is in the binlog, by mysqlbinlog."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable
from typing import Any, NamedTuple

from kafka import KafkaConsumer, TopicPartition

from stack import mysql


class Record(NamedTuple):
    topic: str
    partition: int
    offset: int
    key: Any
    value: Any
    headers: dict[str, bytes]


class Change(NamedTuple):
    """One row change: `first` is the first column's value, of the row as it was for a delete, as text."""

    gtid: str
    table: str
    op: str
    first: str


def read_topics(bootstrap_servers: str, topics: Iterable[str]) -> list[Record]:
    """Every committed record of these topics, in offset order per partition."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        group_id=None,
    )
    try:
        parts = [TopicPartition(t, p) for t in topics for p in sorted(consumer.partitions_for_topic(t) or ())]
        if not parts:
            return []
        consumer.assign(parts)
        consumer.seek_to_beginning(*parts)
        ends = consumer.end_offsets(parts)
        found: list[Record] = []
        while any(consumer.position(part) < ends[part] for part in parts):
            for batch in consumer.poll(timeout_ms=500).values():
                found += [_record(message) for message in batch]
        return found
    finally:
        consumer.close()


def _record(message: Any) -> Record:
    value = None if message.value is None else json.loads(message.value)
    return Record(
        message.topic, message.partition, message.offset, json.loads(message.key), value, dict(message.headers)
    )


def published(records: Iterable[Record]) -> list[Change]:
    """The row changes in source order; the two halves of a key change count as one update."""
    events = [r for r in records if r.value is not None and r.value["op"] in "cud"]
    events.sort(key=lambda r: r.value["source"]["seq"])
    found = []
    for record in events:
        if "__debezium.oldkey" in record.headers:
            continue
        op = "u" if "__debezium.newkey" in record.headers else record.value["op"]
        row = record.value["before"] or record.value["after"]
        source = record.value["source"]
        found.append(Change(source["gtid"], f"{source['db']}.{source['table']}", op, str(next(iter(row.values())))))
    return found


_GTID = re.compile(r"SET @@SESSION.GTID_NEXT= '([^']+)'")
_ROW = re.compile(r"### (INSERT INTO|UPDATE|DELETE FROM) `(.+)`\.`(.+)`")
_FIRST = re.compile(r"###   @1='?([^'\s]*)'?")
_OPS = {"INSERT INTO": "c", "UPDATE": "u", "DELETE FROM": "d"}


def in_binlog(server: Any, files: Iterable[str], db: str) -> list[Change]:
    """The committed row changes of one database, as mysqlbinlog decodes them."""
    place = [f"--host={server.host}", f"--port={server.port}", f"--user={server.user}", "--protocol=TCP"]
    found: list[Change] = []
    done = subprocess.run(
        [*mysql.tool("mysqlbinlog"), "--read-from-remote-server", *place, f"--password={server.password}",
         "--base64-output=DECODE-ROWS", "--verbose", *files],
        check=True, capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    gtid, pending = "", None
    open_rows: list[Change] = []
    for line in done.stdout.splitlines():
        if at := _GTID.search(line):
            gtid = at[1]
        elif row := _ROW.match(line):
            pending = (row[2], row[3], _OPS[row[1]])
        elif pending and (first := _FIRST.match(line)):
            if pending[0] == db:
                open_rows.append(Change(gtid, f"{pending[0]}.{pending[1]}", pending[2], first[1]))
            pending = None
        elif line.startswith("COMMIT"):
            found += open_rows
            open_rows = []
        elif line.startswith("ROLLBACK"):
            open_rows = []
    return found
