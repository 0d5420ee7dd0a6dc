"""The binlog as bytes: what the server can send to somebody who does nothing with it."""

from __future__ import annotations

import struct
import time
from typing import Any

from bench.capture.backlog import Backlog
from bench.errors import BenchError
from bench.servers import Mysql

_COM_BINLOG_DUMP = 0x12
_NON_BLOCK = 1  # end with an EOF packet instead of waiting for more
_SERVER_ID = 7_654_322
_BUFFER_BYTES = 1 << 20
_EOF_BYTES = 9  # length 5, number, 0xfe, warnings, status


def read_raw(mysql: Mysql, backlog: Backlog) -> float:
    """Seconds for the whole backlog."""
    connection = mysql.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET @source_binlog_checksum = 'CRC32', @master_binlog_checksum = 'CRC32'")
        began = time.perf_counter()
        start = backlog.start
        request = struct.pack("<IHI", start.pos, _NON_BLOCK, _SERVER_ID) + start.file.encode()
        connection._execute_command(_COM_BINLOG_DUMP, request)  # noqa: SLF001  pymysql has no public way to dump
        _drain(connection._sock, backlog)  # noqa: SLF001
        return time.perf_counter() - began
    finally:
        connection._force_close()  # noqa: SLF001


def _drain(sock: Any, backlog: Backlog) -> None:
    buffer = bytearray(_BUFFER_BYTES)
    received, tail = 0, b""
    while not (received >= backlog.binlog_bytes and _is_eof(tail)):
        count = sock.recv_into(buffer)
        if not count:
            raise BenchError(f"the dump ended after {received} of {backlog.binlog_bytes} bytes")
        received += count
        tail = (tail + bytes(buffer[max(0, count - _EOF_BYTES) : count]))[-_EOF_BYTES:]


def _is_eof(tail: bytes) -> bool:
    return tail[:3] == b"\x05\x00\x00" and tail[4:5] == b"\xfe"
