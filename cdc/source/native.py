"""The native engine: Rust reads and decodes in a thread of its own, Python publishes."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from cdc.source.native_batch import BatchMaker
from cdc.source.native_errors import named
from cdc.source.native_guide import Guide
from cdc.source.options import SourceOptions
from cdc.source.seam import Batch
from schemas.errors import TidemarkError
from schemas.event import CONNECTOR, VERSION
from schemas.position import Position

extension: Any = None
MISSING = ""
try:
    extension = import_module("cdc.source._native")
except ImportError as error:  # no compiler was at hand when it was installed, or it was for another Python
    MISSING = str(error)

_QUEUE_BYTES = 6 << 20
_TICK_S = 0.2  # a signal is heard between two of these
_DEFAULT_TIMEOUT_S = 10.0


class NativeSource:
    """A `ChangeSource` that decodes outside of Python."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._versions: dict[str, int] = {}
        self._closed = False
        self._engine: Any = None

    def batches(self, position: Position) -> Iterator[Batch]:
        """Yield batches from a position on; see `ChangeSource`."""
        if extension is None:
            raise RuntimeError(MISSING)
        options = self._options
        guide = Guide(
            name=options.name,
            router=options.router,
            known=options.known,
            versions=self._versions,
            protections=options.protections,
        )
        asked = {**_connection(options), **_pace(options), **decoding(options, position)}
        engine = self._engine = extension.Engine(asked, guide)
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
        batch = BatchMaker(self._options.router, start)
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


def _connection(options: SourceOptions) -> dict[str, Any]:
    connect = options.connect
    context: ssl.SSLContext | None = connect.get("ssl")
    password: str | bytes = connect.get("password", "")
    return {
        "host": connect.get("host", "127.0.0.1"),
        "port": connect.get("port", 3306),
        "unix_socket": connect.get("unix_socket"),
        "user": connect["user"],
        "password": password.encode() if isinstance(password, str) else password,
        "tls": context is not None,
        "ca": options.ca_file.read_bytes() if context is not None and options.ca_file is not None else None,
        "connect_timeout_s": float(connect.get("connect_timeout", _DEFAULT_TIMEOUT_S)),
    }


def _pace(options: SourceOptions) -> dict[str, Any]:
    return {
        "server_id": options.server_id,
        "heartbeat_s": options.heartbeat_s,
        "read_timeout_s": options.read_timeout_s,
        "linger_s": options.linger_s,
        "queue_bytes": _QUEUE_BYTES,
    }


def decoding(options: SourceOptions, position: Position) -> dict[str, Any]:
    """What the extension's decoder is made from."""
    opened = position.open
    return {
        "batch_events": options.limits.batch_events,
        "batch_bytes": options.limits.batch_bytes,
        "event_bytes": options.limits.event_bytes,
        "version": VERSION,
        "connector": CONNECTOR,
        "source_name": options.name,
        "now_us": None if options.clock is None else int(options.clock() * 1_000_000),
        "server_uuid": position.server_uuid,
        "gtid_set": position.gtid_set,
        "file": position.file,
        "pos": position.pos,
        "seq": position.seq,
        "open": (opened.gtid, opened.event, opened.row) if opened else None,
    }
