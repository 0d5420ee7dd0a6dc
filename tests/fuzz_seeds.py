"""Seeds for the crate's fuzzing, from what a real server writes.

    python tests/fuzz_seeds.py mysql://root:password@host:port

fills `cdc/native/fuzz/corpus`, a folder a target; what stands there already stays.
"""

from __future__ import annotations

import os
import struct
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha1
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from cdc.source.wire import EventType
from raw_binlog import raw_events, write_case
from servers import Mysql
from source_reader import SourceReader
from type_cases import CASES

CORPUS = Path(__file__).parents[1] / "cdc/native/fuzz/corpus"
#: In the order of the target `rows`.
_KINDS = (
    EventType.WRITE_ROWS, EventType.UPDATE_ROWS, EventType.DELETE_ROWS, EventType.PARTIAL_UPDATE_ROWS,
)  # fmt: skip
_HEADER_BYTES = 19
_LARGEST = 60_000


class Seed(NamedTuple):
    """Input for a target."""

    target: str
    data: bytes


def seeds(reader: SourceReader, case: str, *, compressed: bool = False) -> Iterator[Seed]:
    """What one type gives: the stream as packets, rows with their table map, documents, payloads."""
    write_case(reader, case, partial=case == "json", compressed=compressed)
    events = [raw for raw in raw_events(reader) if len(raw) < _LARGEST]
    yield Seed("stream", b"".join(len(raw + b"\0").to_bytes(3, "little") + b"\0\0" + raw for raw in events))
    table = b""
    for kind, body in ((raw[4], raw[_HEADER_BYTES:]) for raw in events):
        if kind == EventType.TABLE_MAP:
            table = body
        elif kind in _KINDS and reader.db.encode() in table:  # others may use the server too
            rows = bytes([_KINDS.index(kind)]) + struct.pack("<H", len(table)) + table + body
            yield Seed("rows", rows)
            if case == "json":
                yield from _documents(kind, body)
        elif kind == EventType.TRANSACTION_PAYLOAD:
            yield Seed("payload", body)


def _documents(kind: int, body: bytes) -> Iterator[Seed]:
    # table id 6, flags 2, extra 2, a count of columns of 1 byte; bitmaps of 1. Rows of `id INT, v JSON`.
    at = 11 + (1 if kind in (EventType.WRITE_ROWS, EventType.DELETE_ROWS) else 2)
    document = b""
    while at < len(body):
        document, at = _image(body, at)
        diffs = b""
        if kind == EventType.PARTIAL_UPDATE_ROWS:
            at += 2 if body[at] else 1  # whether there are differences, and of which columns
            diffs, at = _image(body, at)
        yield Seed("json", struct.pack("<H", len(document)) + document + diffs)


def _image(body: bytes, at: int) -> tuple[bytes, int]:
    if body[at] & 2:
        return b"", at + 5
    start = at + 9
    end = start + int.from_bytes(body[at + 5 : start], "little")
    return body[start:end], end


def write(found: Iterable[Seed], corpus: Path = CORPUS) -> Mapping[str, int]:
    """A file for each seed, named by its content; how many there were for each target."""
    counts: dict[str, int] = defaultdict(int)
    for target, data in found:
        folder = corpus / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
        counts[target] += 1
    return counts


def _main(url: str) -> None:
    place = urlsplit(url)
    mysql = Mysql(
        host=place.hostname or "127.0.0.1", port=place.port or 3306, user=place.username or "root",
        password=place.password or "",
    )  # fmt: skip
    db = f"fuzz_seeds_{os.getpid()}"
    for number, (case, compressed) in enumerate(
        [*((case, False) for case in CASES), ("json", True), ("varchar", True)]
    ):
        with mysql.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {db} CHARACTER SET utf8mb4")
            try:
                reader = SourceReader(mysql, db, 900_000 + os.getpid() % 50_000 * 100 + number)
                print(case, dict(write(seeds(reader, case, compressed=compressed))))
                reader.connection.close()
            finally:
                cursor.execute(f"DROP DATABASE {db}")


if __name__ == "__main__":
    _main(sys.argv[1])
