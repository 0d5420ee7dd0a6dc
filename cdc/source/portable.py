"""The portable engine: mysql-replication asks for the binlog, our own decoders read it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cdc.source.decoder import Decoder, Limits
from cdc.source.seam import Batch, Router
from cdc.source.stream import DumpStream
from schemas.position import Position
from schemas.table import Table

_TICK_S = 0.5
_PATIENCE = 10  # lingers that a batch waits at most while events keep coming


class PortableSource:
    """A `ChangeSource` in Python alone.

    `connect`: keyword arguments of `pymysql.connect`. `known`: the latest published layout of each `database.table`,
    read anew at each `batches`. `linger_s`: how long a batch waits for company. `clock`: seconds since 1970, for
    `ts_*` of capture.
    """

    def __init__(
        self,
        *,
        connect: Mapping[str, Any],
        source_name: str,
        router: Router,
        known: Mapping[str, Table],
        server_id: int,
        heartbeat_s: float,
        read_timeout_s: float,
        max_event_bytes: int,
        max_batch_events: int = 5000,
        max_batch_bytes: int = 8 << 20,
        linger_s: float = 0.05,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connect = connect
        self._name = source_name
        self._router = router
        self._known = known
        self._versions: dict[str, int] = {}
        self._server_id = server_id
        self._heartbeat_s = heartbeat_s
        self._read_timeout_s = read_timeout_s
        self._limits = Limits(batch_events=max_batch_events, batch_bytes=max_batch_bytes, event_bytes=max_event_bytes)
        self._linger_s = linger_s
        self._clock = clock
        self._stream: DumpStream | None = None
        self._closed = False

    def batches(self, position: Position) -> Iterator[Batch]:
        """Yield batches from a position on; see `ChangeSource`."""
        stream = self._stream = DumpStream(
            self._connect,
            position=position,
            server_id=self._server_id,
            heartbeat_s=self._heartbeat_s,
            read_timeout_s=self._read_timeout_s,
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
        return Decoder(
            name=self._name,
            router=self._router,
            known=self._known,
            versions=self._versions,
            position=position,
            limits=self._limits,
            clock=self._clock,
            fold_names=lambda: stream.server.fold_names,
            no_gtid_before=lambda: stream.server.no_gtid_before,
        )

    def _read(self, stream: DumpStream, decoder: Decoder) -> Iterator[Batch]:
        timer = _Timer(self._linger_s, self._heartbeat_s)
        while not self._closed:
            raw = stream.get(timer.wait_s(decoder))
            for batch in decoder.feed(raw) if raw is not None else ():
                yield batch
                timer.restart()
            if timer.due(decoder, waiting=raw is not None) and (rest := decoder.take()):
                yield rest
                timer.restart()
        if rest := decoder.take():
            yield rest


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

    def due(self, decoder: Decoder, *, waiting: bool) -> bool:
        """True if what has been gathered should go; `waiting`: more may be at hand."""
        now = time.monotonic()
        if decoder.pending:
            patience = self._linger_s * (_PATIENCE if waiting else 1)
            return self._since is not None and now >= self._since + patience
        idle, decoder.idle = decoder.idle, False
        return idle or now >= self._last + self._heartbeat_s
