"""The dump connection: raw events from the server, read ahead by a thread, bounded in bytes."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

import pymysql
from pymysql.connections import MAX_PACKET_LEN
from pymysql.constants import CR
from pymysqlreplication import BinLogStreamReader

from cdc.source.dump_errors import translate
from cdc.source.gtid_command import COM_BINLOG_DUMP_GTID, dump_gtid_command
from cdc.source.progress import FARTHEST_START
from cdc.source.server_facts import ServerFacts, ask
from cdc.source.wire import DAMAGED
from schemas.errors import UndecodableError, UnreachableError
from schemas.position import Position

QUEUE_BYTES = 16 << 20
_JOIN_S = 1.0
_BEGINNING = 4  # after the magic number
_HEAD = struct.Struct("<HBBB9xI")  # a packet's length and number, OK, and of the event's header its size
# A replica says which checksums it understands, else a file written with them ends the dump. Heartbeats go by two
# names. The server waits this long for a reader that is held back before it drops the connection (default 60 s).
_SESSION = (
    "SET @source_binlog_checksum = 'CRC32', @master_binlog_checksum = 'CRC32', "
    "@source_heartbeat_period = %s, @master_heartbeat_period = %s, @@session.net_write_timeout = 900"
)


class PacketQueue:
    """Packets between two threads, bounded in bytes; one that is larger than the bound passes alone."""

    def __init__(self, limit_bytes: int = QUEUE_BYTES) -> None:
        self._limit = limit_bytes
        self._packets: deque[bytes] = deque()
        self._bytes = 0
        self._error: Exception | None = None
        self._closed = False
        self._changed = threading.Condition()

    def put(self, packet: bytes) -> bool:
        """Wait for room; False if nobody reads any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._bytes < self._limit)
            self._packets.append(packet)
            self._bytes += len(packet)
            self._changed.notify_all()
            return not self._closed

    def get(self, timeout_s: float) -> bytes | None:
        """The next packet; None after the timeout. Raises the reader's error when all before it are taken."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._packets or self._error, timeout_s)
            if self._packets:
                packet = self._packets.popleft()
                self._bytes -= len(packet)
                self._changed.notify_all()
                return packet
            if self._error is not None and not self._closed:
                raise self._error
            return None

    def fail(self, error: Exception) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _check_length(connection: pymysql.connections.Connection) -> None:
    """No checksum covers a packet's head: a damaged length is a wait for what never comes, with heartbeats meanwhile.

    It is compared with the event's own size, as far as both are there already.
    """
    try:
        head = connection._rfile.peek(_HEAD.size)  # noqa: SLF001 - nobody else tells
    except OSError as error:
        raise pymysql.err.OperationalError(CR.CR_SERVER_LOST, str(error)) from error
    if len(head) < _HEAD.size:
        return
    low, high, _, ok, size = _HEAD.unpack_from(head)
    if not ok and low | high << 16 != min(size + 1, MAX_PACKET_LEN):
        raise UndecodableError(f"a packet of {low | high << 16} bytes holds an event of {size}", hint=DAMAGED)


class _Reader(BinLogStreamReader):  # type: ignore[misc]  # untyped library
    """The library connects and asks for the dump; its own decoding, filtering and silent reconnect are left out.

    It is not asked by GTID, since its own GTID sets know no tags.
    """

    def connect(self) -> pymysql.connections.Connection:
        self._BinLogStreamReader__connect_to_stream()
        return self._stream_connection


class DumpStream:
    """Reads the dump from a position on, in a thread of its own."""

    def __init__(
        self,
        connect: Mapping[str, Any],
        *,
        position: Position,
        server_id: int,
        heartbeat_s: float,
        read_timeout_s: float,
    ) -> None:
        self._connect_arguments = dict(connect)
        self._position = position
        self._server_id = server_id
        self._heartbeat_s = heartbeat_s
        self._read_timeout_s = read_timeout_s
        self._connection: pymysql.connections.Connection | None = None
        self._stopped = threading.Event()
        self._queue = PacketQueue()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="binlog-dump", daemon=True)
        self.server = ServerFacts()  # asked before the first event comes

    def start(self) -> None:
        self._thread.start()

    def get(self, timeout_s: float) -> bytes | None:
        """The next event, after the packet's OK byte; None after the timeout."""
        return self._queue.get(timeout_s)

    def stop(self) -> None:
        """End the thread soon, even if the socket is silent; callable from any thread, more than once."""
        self._stopped.set()
        self._queue.close()
        connection = self._connection
        plug = connection and connection._sock  # noqa: SLF001 - its public close would wait for the reading thread
        if plug:
            with contextlib.suppress(OSError):
                plug.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        try:
            self._read(self._dump())
        except pymysql.Error as error:
            self._queue.fail(translate(error, self._position))
        except Exception as error:  # noqa: BLE001 - handed to the thread that reads the queue, which raises it
            self._queue.fail(error)

    def _read(self, connection: pymysql.connections.Connection) -> None:
        while not self._stopped.is_set():
            _check_length(connection)
            packet = connection._read_packet()  # noqa: SLF001 - the library reads the dump this way too
            if packet.is_eof_packet():
                raise UnreachableError("the server ended the binlog dump")
            if not self._queue.put(packet.get_all_data()[1:]):
                return

    def _dump(self) -> pymysql.connections.Connection:
        """A connection on which the dump has been asked for."""
        arguments = {**self._connect_arguments, "read_timeout": self._read_timeout_s, "charset": "utf8mb4"}
        position = self._position
        if position.gtid_set:
            connection = self._open(**arguments)
            command = dump_gtid_command(position.gtid_set, self._server_id)
            connection._execute_command(COM_BINLOG_DUMP_GTID, command)  # noqa: SLF001 - as the library does
            return connection
        return _Reader(
            connection_settings=arguments,
            server_id=self._server_id,
            blocking=True,
            resume_stream=True,
            log_file=position.file,
            log_pos=_BEGINNING if position.pos > FARTHEST_START else position.pos,
            slave_heartbeat=self._heartbeat_s,
            pymysql_wrapper=self._open,
            enable_logging=False,
        ).connect()

    def _open(self, **arguments: Any) -> pymysql.connections.Connection:
        connection = self._connection = pymysql.connect(**arguments)
        nanoseconds = int(self._heartbeat_s * 1_000_000_000)
        with connection.cursor() as cursor:
            cursor.execute(_SESSION, (nanoseconds, nanoseconds))
        self.server = ask(connection, self._position)
        return connection
