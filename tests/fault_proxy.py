"""A TCP proxy that misbehaves on demand: latency, stalls, resets, slices, cuts and flipped bytes, per direction.

One event loop in a thread of its own; tests change the faults while bytes flow. Everything is bounded: a stalled line
is not read any further, so the sender is held back by TCP itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Literal, Self

CHUNK_BYTES = 1 << 16
_TICK_S = 0.01
_JOIN_S = 10
_NEVER = 1 << 62


@dataclass(slots=True, kw_only=True)
class Line:
    """What happens to the bytes of one direction, over all connections; may be changed at any time.

    `latency_s`: before each chunk; `bytes_per_s`: no more get through, 0 is no limit; `slice_bytes`: pieces of 1 to so
    many bytes, 0 is as they come; `cut_in` and `flip_in`: so many bytes from now the connection is cut, or one byte has
    all its bits turned; `cut_text` and `flip_text`: that is done after, or to the last byte of, the next such text;
    `cuts` and `flips`: how many there were; `kept`: if set, grows by what went through;
    `arrived`: if set, grows by what came in; of a stalled line that is read, and held here.
    """

    latency_s: float = 0.0
    bytes_per_s: float = 0.0
    stalled: bool = False
    slice_bytes: int = 0
    cut_in: int = _NEVER
    cut_text: bytes = b""
    cuts: int = 0
    flip_in: int = _NEVER
    flip_text: bytes = b""
    flips: int = 0
    passed_bytes: int = 0
    kept: bytearray | None = None
    arrived: bytearray | None = None
    random: random.Random = field(default_factory=random.Random)
    _free_at: float = 0.0

    def damaged(self, data: bytes, before: bytes) -> bytes:
        """The bytes with what is to be flipped in them; `before`: those that went just before."""
        if self.cut_text and (found := (before + data).find(self.cut_text)) >= 0:
            self.cut_in = max(0, found + len(self.cut_text) - len(before))
            self.cut_text = b""
        at = self.flip_in
        self.flip_in = max(0, at - len(data)) if at < _NEVER else at
        if self.flip_text and (found := (before + data).find(self.flip_text)) >= 0:
            at = found + len(self.flip_text) - 1 - len(before)
            self.flip_text = b""
        if at >= len(data):
            return data
        self.flip_in = _NEVER
        self.flips += 1
        return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """How the bytes are sent."""
        while data:
            size = self.random.randint(1, self.slice_bytes) if self.slice_bytes else len(data)
            yield data[:size]
            data = data[size:]

    async def turn(self, size: int) -> None:
        """Wait until so many bytes may go: all connections share the line."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(now, self._free_at) + size / self.bytes_per_s
        await asyncio.sleep(self._free_at - now)

    def take(self, piece: bytes) -> tuple[bytes, bool]:
        """What of a piece goes through, and whether the connection ends after it."""
        ends = self.cut_in <= len(piece)
        self.cuts += ends
        piece = piece[: self.cut_in]
        self.cut_in = _NEVER if ends else self.cut_in - len(piece) * (self.cut_in < _NEVER)
        self.passed_bytes += len(piece)
        if self.kept is not None:
            self.kept += piece
        return piece, ends


class FaultProxy:
    """Listens on a port of 127.0.0.1 and hands on to a server. `up`: towards the server; `down`: from it.

    With `tls` it is the end of TLS, as a balancer is; what damages the bytes of TLS itself stands before it.
    """

    def __init__(self, port: int, *, host: str = "127.0.0.1", seed: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._place = (host, port)
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[asyncio.StreamWriter] = set()
        self._over = asyncio.Event()
        self.port: int = self._listener.getsockname()[1]
        self.up = Line(random=random.Random(seed))
        self.down = Line(random=random.Random(seed + 1))
        self.cut: Literal["end", "reset", "stall"] = "end"  # what a cut is
        self.connections = 0

    def stall(self, *, stalled: bool = True) -> None:
        """Nothing goes through in either direction, and nobody is told; new connections are accepted."""
        self.up.stalled = self.down.stalled = stalled

    @property
    def live(self) -> int:
        """Ends of connections that are open."""
        return len(self._open)

    def reset(self) -> None:
        """RST to both ends of every connection."""
        asyncio.run_coroutine_threadsafe(self._reset(), self._loop).result(_JOIN_S)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(_JOIN_S)
        assert not self._thread.is_alive()
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, sock=self._listener, limit=CHUNK_BYTES, ssl=self._tls)
        await self._over.wait()
        server.close()
        self.stall(stalled=False)
        await self._reset()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            _, late = await asyncio.wait(others, timeout=_JOIN_S / 2)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _reset(self) -> None:
        for writer in self._open:
            _break(writer)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            server = await asyncio.open_connection(*self._place, limit=CHUNK_BYTES)
        except OSError:
            return _break(writer)
        ends = {writer, server[1]}
        self._open |= ends
        pumps = [
            asyncio.ensure_future(self._pump(reader, server[1], self.up)),
            asyncio.ensure_future(self._pump(server[0], writer, self.down)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # by our own end: nobody waits for this task, so it would be logged as an error
            pass
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._open -= ends
            for end in ends:
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: Line) -> None:
        async for data in _chunks(reader, line):
            for piece in line.pieces(data):
                if line.bytes_per_s:
                    await line.turn(len(piece))
                await _moving(line)
                through, ends = line.take(piece)
                writer.write(through)
                await writer.drain()
                if ends and self.cut == "stall":
                    self.stall()
                elif ends:
                    if self.cut == "reset":
                        _break(writer)
                    return
                if line.slice_bytes:
                    await asyncio.sleep(0)


async def _chunks(reader: asyncio.StreamReader, line: Line) -> AsyncIterator[bytes]:
    before = b""
    while data := await reader.read(CHUNK_BYTES):
        if line.arrived is not None:
            line.arrived += data
        if line.latency_s:
            await asyncio.sleep(line.latency_s)
        data = line.damaged(data + await _held(reader, line), before)
        yield data
        before = (before + data)[-256:]


async def _held(reader: asyncio.StreamReader, line: Line) -> bytes:
    """What comes in while the line is stalled, if somebody wants to know of it; else it stays with the sender."""
    found = b""
    while line.stalled and line.arrived is not None:
        with contextlib.suppress(TimeoutError):
            more = await asyncio.wait_for(reader.read(CHUNK_BYTES), _TICK_S)
            found += more
            line.arrived += more
            if not more:  # what is held is lost with the connection
                raise ConnectionResetError
    await _moving(line)
    return found


async def _moving(line: Line) -> None:
    while line.stalled:  # noqa: ASYNC110 - set by another thread, which an asyncio.Event does not bear
        await asyncio.sleep(_TICK_S)


def _break(writer: asyncio.StreamWriter) -> None:
    plug = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # broken already
        # Closed with a linger time of zero, a connection ends by RST: tcp(7), socket(7).
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
