"""Binlog events made by hand, for what no server can be asked to write."""

from __future__ import annotations

import struct
from uuid import UUID
from zlib import crc32

from cdc.source.wire import ARTIFICIAL_FLAG, EventType

SERVER = UUID("11111111-2222-3333-4444-555555555555")
COMMIT_US = 1_700_000_000_123_456


class Binlog:
    """Writes events one after the other, as they stand in a file."""

    def __init__(self, *, checksum: bool = True, pos: int = 4, file: str = "bin.000001") -> None:
        self.checksum = checksum
        self.pos = pos
        self.file = file

    def event(self, kind: int, body: bytes, *, flags: int = 0, timestamp: int = 1_700_000_000) -> bytes:
        size = 19 + len(body) + (4 if self.checksum else 0)
        artificial = bool(flags & ARTIFICIAL_FLAG)
        if not artificial:
            self.pos += size
        log_pos = 0 if artificial else self.pos % (1 << 32)
        raw = struct.pack("<IBIIIH", timestamp, kind, 1, size, log_pos, flags) + body
        return raw + crc32(raw).to_bytes(4, "little") if self.checksum else raw

    def fake_rotate(self) -> bytes:
        """The first one: it has the checksum that the reader asks for, whatever the file has."""
        body = struct.pack("<Q", self.pos) + self.file.encode()
        raw = struct.pack("<IBIIIH", 0, EventType.ROTATE, 1, 19 + len(body) + 4, 0, ARTIFICIAL_FLAG) + body
        return raw + crc32(raw).to_bytes(4, "little")

    def rotate(self, file: str) -> bytes:
        raw = self.event(EventType.ROTATE, struct.pack("<Q", 4) + file.encode())
        self.file, self.pos = file, 4
        return raw

    def format_description(self, version: bytes = b"8.4.0", *, flags: int = ARTIFICIAL_FLAG) -> bytes:
        algorithm = bytes([int(self.checksum)])
        body = struct.pack("<H50sIB", 4, version, 0, 19) + bytes(41) + algorithm
        return self.event(EventType.FORMAT_DESCRIPTION, body + bytes(0 if self.checksum else 4), flags=flags)

    def start(self) -> list[bytes]:
        return [self.fake_rotate(), self.format_description()]

    def gtid(self, number: int) -> bytes:
        body = b"\0" + SERVER.bytes + struct.pack("<QBQQ", number, 2, 0, 1) + COMMIT_US.to_bytes(7, "little")
        return self.event(EventType.GTID, body)

    def anonymous(self) -> bytes:
        return self.event(EventType.ANONYMOUS_GTID, bytes(17) + struct.pack("<QBQQ", 0, 2, 0, 1))

    def query(self, text: str, db: str = "d") -> bytes:
        raw = db.encode()
        body = struct.pack("<IIBHH", 7, 0, len(raw), 0, 0) + raw + b"\0" + text.encode()
        return self.event(EventType.QUERY, body)

    def xid(self) -> bytes:
        return self.event(EventType.XID, bytes(8))

    def table_map(self, table_id: int = 9, *, db: str = "d", table: str = "t", columns: str = "id,a") -> bytes:
        """Columns are INT; the first is the primary key."""
        names = columns.split(",")
        head = table_id.to_bytes(6, "little") + b"\1\0" + _short(db) + b"\0" + _short(table) + b"\0"
        layout = bytes([len(names)]) + b"\3" * len(names) + b"\0" + b"\0"
        optional = _block(4, b"".join(map(_short, names))) + _block(8, b"\0")
        return self.event(EventType.TABLE_MAP, head + layout + optional)

    def insert(self, *rows: tuple[int, ...], table_id: int = 9, kind: int = EventType.WRITE_ROWS) -> bytes:
        return self.rows(kind, table_id, b"".join(map(_row, rows)), width=len(rows[0]))

    def update(self, *pairs: tuple[tuple[int, ...], tuple[int, ...]], table_id: int = 9) -> bytes:
        images = b"".join(_row(before) + _row(after) for before, after in pairs)
        return self.rows(EventType.UPDATE_ROWS, table_id, images, width=len(pairs[0][0]), bitmaps=2)

    def rows(
        self, kind: int, table_id: int, images: bytes, *, width: int, bitmaps: int = 1, present: int = 0xFF
    ) -> bytes:
        head = table_id.to_bytes(6, "little") + b"\0\0" + (b"\2\0" if kind >= EventType.WRITE_ROWS else b"")
        return self.event(kind, head + bytes([width]) + bytes([present]) * bitmaps + images)

    def payload(self, *events: bytes) -> bytes:
        """A TRANSACTION_PAYLOAD, not compressed, of events that have no checksum."""
        inner = b"".join(events)
        fields = b"\2\3\xfc\xff\0" + b"\1\3\xfc" + len(inner).to_bytes(2, "little") + b"\0"
        return self.event(EventType.TRANSACTION_PAYLOAD, fields + inner)

    def transaction(self, number: int, *rows: tuple[int, ...]) -> list[bytes]:
        return [self.gtid(number), self.query("BEGIN"), self.table_map(), self.insert(*rows), self.xid()]


def _short(text: str) -> bytes:
    return bytes([len(text.encode())]) + text.encode()


def _block(kind: int, value: bytes) -> bytes:
    return bytes([kind, len(value)]) + value


def _row(values: tuple[int, ...]) -> bytes:
    return b"\0" + b"".join(value.to_bytes(4, "little", signed=True) for value in values)
