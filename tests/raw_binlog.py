"""What a server really writes: the raw events of types, compressed transactions and partial updates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cdc.source.stream import DumpStream
from cdc.source.wire import EventType, has_checksum
from source_reader import SourceReader
from type_cases import CASES


def write_case(reader: SourceReader, case: str, *, partial: bool, compressed: bool) -> None:
    """A table `t` of one case of `type_cases`, with rows that come, change and go; `reader.start` is before them."""
    definition, _, values = CASES[case]
    reader.sql(
        "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'",
        f"CREATE TABLE t (id INT PRIMARY KEY, v {definition} NULL)",
        f"SET SESSION binlog_transaction_compression = {int(compressed)}",
    )
    reader.start = reader.here()
    rows = ",".join(f"({number}, {value})" for number, value in enumerate([*values[:20], "NULL"]))
    reader.sql(f"INSERT INTO t VALUES {rows}", "UPDATE t SET id = id + 100 WHERE id < 3")
    if partial:
        reader.sql("SET SESSION binlog_row_value_options = 'PARTIAL_JSON'")
        wide = "JSON_OBJECT('a', 1, 'b', JSON_ARRAY(1, 2), 'pad', REPEAT('x', 100))"
        reader.sql(
            f"UPDATE t SET v = {wide}", "UPDATE t SET v = JSON_SET(JSON_REMOVE(v, '$.a'), '$.b[1]', 'z', '$.n', 1)"
        )
    reader.sql("DELETE FROM t WHERE id > 101")


def raw_events(reader: SourceReader) -> Iterator[bytes]:
    """The binlog from `reader.start` up to here, without checksums."""
    connect = {"host": reader.mysql.host, "port": reader.mysql.port, "user": reader.mysql.user,
               "password": reader.mysql.password}  # fmt: skip
    stream = DumpStream(
        connect,
        position=replace(reader.start, gtid_set=""),
        server_id=reader.server_id,
        heartbeat_s=0.3,
        read_timeout_s=60,
    )
    stream.start()
    described = False
    try:
        while True:
            raw = stream.get(60)
            assert raw, "MySQL is silent"
            if raw[4] == EventType.HEARTBEAT:
                return
            if raw[4] == EventType.FORMAT_DESCRIPTION:
                described = True
                yield raw[:-5] + b"\0" + bytes(4)
            else:  # what comes before the description has the checksum that was asked for
                yield raw[:-4] if described and has_checksum(raw) else raw
    finally:
        stream.stop()
