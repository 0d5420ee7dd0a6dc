"""The binlog's framing: event headers, checksums, packed numbers, event types. Bytes in, values out.

Layouts: `libs/mysql/binlog/event/binlog_event.h` of the MySQL source.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple
from zlib import crc32

from schemas.errors import UndecodableError

HEADER_BYTES = 19
CHECKSUM_BYTES = 4
ARTIFICIAL_FLAG = 0x20  # made up by the dump thread, in no file
IGNORABLE_FLAG = 0x80

_HEADER = struct.Struct("<IBIIIH")
_U16, _U64 = struct.Struct("<H"), struct.Struct("<Q")


class EventType(IntEnum):
    """Log_event_type of MySQL, and those of MariaDB that can be met by mistake."""

    UNKNOWN = 0
    START_V3 = 1
    QUERY = 2
    STOP = 3
    ROTATE = 4
    INTVAR = 5
    APPEND_BLOCK = 9
    DELETE_FILE = 11
    RAND = 13
    USER_VAR = 14
    FORMAT_DESCRIPTION = 15
    XID = 16
    BEGIN_LOAD_QUERY = 17
    EXECUTE_LOAD_QUERY = 18
    TABLE_MAP = 19
    WRITE_ROWS_V1 = 23
    UPDATE_ROWS_V1 = 24
    DELETE_ROWS_V1 = 25
    INCIDENT = 26
    HEARTBEAT = 27
    IGNORABLE = 28
    ROWS_QUERY = 29
    WRITE_ROWS = 30
    UPDATE_ROWS = 31
    DELETE_ROWS = 32
    GTID = 33
    ANONYMOUS_GTID = 34
    PREVIOUS_GTIDS = 35
    TRANSACTION_CONTEXT = 36
    VIEW_CHANGE = 37
    XA_PREPARE = 38
    PARTIAL_UPDATE_ROWS = 39
    TRANSACTION_PAYLOAD = 40
    HEARTBEAT_V2 = 41
    GTID_TAGGED = 42
    MARIADB_ANNOTATE_ROWS = 160
    MARIADB_BINLOG_CHECKPOINT = 161
    MARIADB_GTID = 162
    MARIADB_GTID_LIST = 163
    MARIADB_START_ENCRYPTION = 164
    MARIADB_QUERY_COMPRESSED = 165
    MARIADB_WRITE_ROWS_COMPRESSED = 166
    MARIADB_UPDATE_ROWS_COMPRESSED = 167
    MARIADB_DELETE_ROWS_COMPRESSED = 168


DAMAGED = "Read it with mysqlbinlog --verify-binlog-checksum: either the file or the network is damaged."


class Event(NamedTuple):
    """One event without its checksum. `log_pos`: where the next one starts, modulo 2^32; 0 in artificial ones."""

    type: int
    timestamp: int
    server_id: int
    size: int
    log_pos: int
    flags: int
    body: bytes


def type_name(code: int) -> str:
    """`TRANSACTION_PAYLOAD (40)`, or `type 99`."""
    try:
        return f"{EventType(code).name} ({code})"
    except ValueError:
        return f"type {code}"


def parse_event(raw: bytes, *, checksum: bool) -> Event:
    """One event from the bytes after the packet's OK byte; `checksum`: it ends in a CRC32, which is verified."""
    if len(raw) < HEADER_BYTES:
        raise UndecodableError(f"an event of {len(raw)} bytes is shorter than its header")
    timestamp, code, server_id, size, log_pos, flags = _HEADER.unpack_from(raw)
    end = len(raw)
    if size != end:
        raise UndecodableError(f"an event of {size} bytes that ends at {log_pos} came as {end}", hint=DAMAGED)
    if checksum:
        end -= CHECKSUM_BYTES
        if not has_checksum(raw):
            raise UndecodableError(
                f"the checksum of event {type_name(code)} that ends at {log_pos} does not match", hint=DAMAGED
            )
    return Event(code, timestamp, server_id, size, log_pos, flags, raw[HEADER_BYTES:end])


def has_checksum(raw: bytes) -> bool:
    """True if the last four bytes are the CRC32 of the others."""
    return crc32(memoryview(raw)[:-CHECKSUM_BYTES]) == int.from_bytes(raw[-CHECKSUM_BYTES:], "little")


def packed(buffer: bytes, at: int) -> tuple[int, int]:
    """A length-encoded integer and the offset after it."""
    first = buffer[at]
    if first < 251:
        return first, at + 1
    width = {252: 2, 253: 3, 254: 8}.get(first)
    if width is None:
        raise UndecodableError(f"a packed number begins with {first}")
    return int.from_bytes(buffer[at + 1 : at + 1 + width], "little"), at + 1 + width


def packed_bytes(buffer: bytes, at: int) -> tuple[bytes, int]:
    """A length-encoded string and the offset after it."""
    length, at = packed(buffer, at)
    return buffer[at : at + length], at + length


class FormatDescription(NamedTuple):
    """What a file says about itself. `version`: as in versioned comments, 90700 for 9.7.0."""

    server: str
    version: int
    checksum: bool


def parse_format_description(raw: bytes) -> FormatDescription:
    """The whole event: it alone always carries a checksum, and the algorithm byte before it."""
    body = raw[HEADER_BYTES:]
    server = body[2:52].rstrip(b"\0").decode("ascii", "replace")
    algorithm = body[-1 - CHECKSUM_BYTES]
    # Without checksums its own may be wrong: a server that sends it for a later position does not mend it.
    if algorithm > 1 or (algorithm and not has_checksum(raw)):
        raise UndecodableError("the checksum of a format description does not match", hint=DAMAGED)
    return FormatDescription(server, version_number(server), bool(algorithm))


def is_checked(raw: bytes, *, said: bool | None, first: bool) -> bool:
    """Whether an event ends in a checksum. `said`: by its file; the ROTATE before that is made up as we asked for.

    `first`: nothing came since the file said so.
    """
    if said is False and first and has_checksum(raw):
        raise UndecodableError("an event has a checksum, though its file says that there are none", hint=DAMAGED)
    return said is not False


def version_number(server: str) -> int:
    """`8.4.3-log` -> 80403."""
    digits = [int(part) for part in server.partition("-")[0].split(".") if part.isdigit()]
    major, minor, patch = [*digits, 0, 0, 0][:3]
    return major * 10000 + minor * 100 + patch


def parse_rotate(body: bytes) -> tuple[str, int]:
    """The next file and the position in it."""
    return body[8:].decode(), int(_U64.unpack_from(body)[0])


class Gtid(NamedTuple):
    """`text` is empty for an anonymous transaction; `commit_us` is 0 where the server is too old to say."""

    text: str
    commit_us: int


def parse_gtid(body: bytes, *, anonymous: bool) -> Gtid:
    """A GTID or ANONYMOUS_GTID event: flags, uuid, number, two logical clocks, then commit times (since 8.0)."""
    text = ""
    if not anonymous:
        raw = body[1:17].hex()
        number = _U64.unpack_from(body, 17)[0]
        text = f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}:{number}"
    clocks_end = 25 + 1 + 16
    if len(body) < clocks_end + 7:
        return Gtid(text, 0)
    # 55 bits of time at the immediate server; the top bit says that the time at the original one follows.
    immediate = int.from_bytes(body[clocks_end : clocks_end + 7], "little")
    if not immediate >> 55:
        return Gtid(text, immediate)
    return Gtid(text, int.from_bytes(body[clocks_end + 7 : clocks_end + 14], "little"))


def parse_xa_prepare(body: bytes) -> tuple[bool, str]:
    """Whether it is a one-phase commit, and the XID as the server writes it in `XA COMMIT X'61',X'',1`."""
    form, first, second = struct.unpack_from("<iII", body, 1)
    data = body[13 : 13 + first + second]
    return bool(body[0]), f"X'{data[:first].hex()}',X'{data[first:].hex()}',{form}"
