"""What a source is opened with, whichever engine reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdc.source.protection import UNPROTECTED, Protections
from cdc.source.seam import Router
from schemas.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a batch is full, and what an event may weigh."""

    batch_events: int = 5000
    batch_bytes: int = 8 << 20
    event_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """Both engines take the same.

    `connect`: keyword arguments of `pymysql.connect`. `ca_file`: certificates to verify the server with, instead of the
    system's; the portable engine finds them in `connect["ssl"]`. `name`: the source's. `known`: the latest published
    layout of each `database.table`, read anew at each `batches`. `linger_s`: how long a batch waits for company.
    `clock`: seconds since 1970, for `ts_*` of capture; the native engine reads a given one once, and it stands still.
    `protections`: columns that leave the decoder excluded, masked or hashed.
    """

    connect: Mapping[str, Any]
    name: str
    router: Router
    known: Mapping[str, Table]
    server_id: int
    heartbeat_s: float
    read_timeout_s: float
    limits: Limits
    linger_s: float = 0.05
    clock: Callable[[], float] | None = None
    ca_file: Path | None = None
    protections: Protections = UNPROTECTED
