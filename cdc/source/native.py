"""The native engine: Rust reads and decodes in a thread of its own, Python publishes."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from cdc.source.native_batch import BatchMaker
from cdc.source.native_errors import named
from cdc.source.native_guide import Guide
from cdc.source.seam import Batch, Router
from schemas.errors import TidemarkError
from schemas.event import CONNECTOR, VERSION
from schemas.position import Position
from schemas.table import Table

extension: Any = None
MISSING = ""
try:
    extension = import_module("cdc.source._native")
except ImportError as error:  # no compiler was at hand when it was installed, or it was for another Python
    MISSING = str(error)

_QUEUE_BYTES = 32 << 20
_TICK_S = 0.2  # a signal is heard between two of these
_DEFAULT_TIMEOUT_S = 10.0


class NativeSource:
    """A `ChangeSource` that decodes outside of Python; its arguments are those of `PortableSource`.

    `ca_file`: certificates to verify the server with, instead of the system's; only with `connect["ssl"]`.
    `clock`: if given, it is read once and stands still, so that equal input gives equal output.
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
        clock: Callable[[], float] | None = None,
        ca_file: Path | None = None,
        queue_bytes: int = _QUEUE_BYTES,
    ) -> None:
        self._router = router
        self._known = known
        self._versions: dict[str, int] = {}
        self._name = source_name
        self._connect = connect
        self._ca_file = ca_file
        self._options = {
            "server_id": server_id,
            "heartbeat_s": heartbeat_s,
            "read_timeout_s": read_timeout_s,
            "linger_s": linger_s,
            "queue_bytes": queue_bytes,
            "batch_events": max_batch_events,
            "batch_bytes": max_batch_bytes,
            "event_bytes": max_event_bytes,
            "version": VERSION,
            "connector": CONNECTOR,
            "source_name": source_name,
            "now_us": None if clock is None else int(clock() * 1_000_000),
        }
        self._closed = False
        self._engine: Any = None

    def batches(self, position: Position) -> Iterator[Batch]:
        """Yield batches from a position on; see `ChangeSource`."""
        if extension is None:
            raise RuntimeError(MISSING)
        guide = Guide(name=self._name, router=self._router, known=self._known, versions=self._versions)
        options = {**self._options, **_connection(self._connect, self._ca_file), **_start(position)}
        engine = self._engine = extension.Engine(options, guide)
        try:
            yield from self._read(engine, position)
        finally:
            engine.close()

    def close(self) -> None:
        """Make a running `batches` return soon; callable from another thread, more than once."""
        self._closed = True
        if self._engine is not None:
            self._engine.stop()

    def _read(self, engine: Any, start: Position) -> Iterator[Batch]:
        batch = BatchMaker(self._router, start)
        while not self._closed:
            raw = self._next(engine, start)
            if raw is not None:
                yield batch.of(raw)

    def _next(self, engine: Any, start: Position) -> Any:
        try:
            return engine.get(_TICK_S)
        except extension.NativeFault as fault:
            raise named(fault, start) from None
        except TidemarkError as error:
            error.where = error.where or engine.place()
            raise


def _connection(connect: Mapping[str, Any], ca_file: Path | None) -> dict[str, Any]:
    context: ssl.SSLContext | None = connect.get("ssl")
    password: str | bytes = connect.get("password", "")
    return {
        "host": connect.get("host", "127.0.0.1"),
        "port": connect.get("port", 3306),
        "unix_socket": connect.get("unix_socket"),
        "user": connect["user"],
        "password": password.encode() if isinstance(password, str) else password,
        "tls": context is not None,
        "ca": ca_file.read_bytes() if context is not None and ca_file is not None else None,
        "connect_timeout_s": float(connect.get("connect_timeout", _DEFAULT_TIMEOUT_S)),
    }


def _start(position: Position) -> dict[str, Any]:
    opened = position.open
    return {
        "server_uuid": position.server_uuid,
        "gtid_set": position.gtid_set,
        "file": position.file,
        "pos": position.pos,
        "seq": position.seq,
        "open": (opened.gtid, opened.event, opened.row) if opened else None,
    }
