"""The portable engine: mysql-replication asks for the binlog, our own decoders read it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from cdc.source.decoder import Decoder
from cdc.source.options import SourceOptions
from cdc.source.seam import Batch
from cdc.source.stream import DumpStream
from schemas.errors import UndecodableError
from schemas.position import Position

_LONGEST_SILENCE_S = 3  # of ours, or a heartbeat, if that is longer
_TICK_S = 0.5
_PATIENCE = 10  # lingers that a batch waits at most while events keep coming


class PortableSource:
    """A `ChangeSource` in Python alone."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._versions: dict[str, int] = {}
        self._stream: DumpStream | None = None
        self._closed = False

    def batches(self, position: Position) -> Iterator[Batch]:
        """Yield batches from a position on; see `ChangeSource`."""
        options = self._options
        stream = self._stream = DumpStream(
            options.connect,
            position=position,
            server_id=options.server_id,
            heartbeat_s=options.heartbeat_s,
            read_timeout_s=options.read_timeout_s,
        )
        stream.start()
        try:
            yield from self._read(stream, self._decoder(position, stream))
        finally:
            stream.stop()

    def close(self) -> None:
        """Make a running `batches` return within a second; callable from another thread, more than once."""
        self._closed = True
        if self._stream is not None:
            self._stream.stop()

    def _decoder(self, position: Position, stream: DumpStream) -> Decoder:
        options = self._options
        return Decoder(
            name=options.name,
            router=options.router,
            known=options.known,
            versions=self._versions,
            position=position,
            limits=options.limits,
            clock=options.clock or time.time,
            fold_names=lambda: stream.server.fold_names,
            no_gtid_before=lambda: stream.server.no_gtid_before,
            protections=options.protections,
        )

    def _read(self, stream: DumpStream, decoder: Decoder) -> Iterator[Batch]:
        timer = _Timer(self._options.linger_s, self._options.heartbeat_s)
        while not self._closed:
            raw = _next(stream, decoder, timer.wait_s(decoder))
            for batch in decoder.feed(raw) if raw is not None else ():
                yield batch
                timer.restart()
            rest = decoder.take() if timer.due(decoder, waiting=raw is not None) else None
            if raw is not None and timer.late():
                rest = rest or decoder.interim()
            if rest:
                yield rest
                timer.restart()
        if rest := decoder.take():
            yield rest


def _next(stream: DumpStream, decoder: Decoder, timeout_s: float) -> bytes | None:
    try:
        return stream.get(timeout_s)
    except UndecodableError as error:
        error.where = error.where or decoder.where()
        raise


class _Timer:
    """When a batch that is not full goes out: after a linger if nothing comes, at the latest after several."""

    def __init__(self, linger_s: float, heartbeat_s: float) -> None:
        self._linger_s = linger_s
        self._heartbeat_s = heartbeat_s
        self._since: float | None = None  # when the batch got its first record
        self._last = time.monotonic()

    def restart(self) -> None:
        self._since = None
        self._last = time.monotonic()

    def wait_s(self, decoder: Decoder) -> float:
        """How long to wait for the next event."""
        if not (decoder.pending and decoder.at_boundary):
            return _TICK_S
        if self._since is None:
            self._since = time.monotonic()
        return max(0.0, self._since + self._linger_s - time.monotonic())

    def late(self) -> bool:
        """True if nothing went out for so long that we would seem to be stuck."""
        return time.monotonic() >= self._last + max(self._heartbeat_s, _LONGEST_SILENCE_S)

    def due(self, decoder: Decoder, *, waiting: bool) -> bool:
        """True if what has been gathered should go; `waiting`: more may be at hand."""
        now = time.monotonic()
        if decoder.pending:
            patience = self._linger_s * (_PATIENCE if waiting else 1)
            return self._since is not None and now >= self._since + patience
        idle, decoder.idle = decoder.idle, False
        return idle or now >= self._last + self._heartbeat_s
