"""The native decoder without a connection, to be used where a test uses the portable `Decoder`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cdc.source.native import decoding, extension
from cdc.source.native_batch import BatchMaker
from cdc.source.native_errors import named
from cdc.source.native_guide import Guide
from cdc.source.options import Limits, SourceOptions
from cdc.source.protection import UNPROTECTED, Protections
from cdc.source.seam import Batch, Router
from schemas.errors import TidemarkError
from schemas.position import Position
from schemas.table import Table

_UNUSED = {
    "host": "", "port": 0, "unix_socket": None, "user": "", "password": b"", "tls": False, "ca": None, "server_id": 1,
    "heartbeat_s": 1.0, "connect_timeout_s": 1.0, "read_timeout_s": 1.0, "linger_s": 1.0, "queue_bytes": 1,
}  # fmt: skip


class NativeReplay:
    """Takes events one by one and gives batches, as `Decoder` does."""

    def __init__(
        self,
        *,
        name: str,
        router: Router,
        known: Mapping[str, Table],
        versions: dict[str, int],
        position: Position,
        limits: Limits,
        clock: Callable[[], float],
        fold_names: Callable[[], bool],
        no_gtid_before: Callable[[], bool] = lambda: False,
        protections: Protections = UNPROTECTED,
    ) -> None:
        guide = Guide(name=name, router=router, known=known, versions=versions, protections=protections)
        asked = SourceOptions(
            connect={}, name=name, router=router, known=known, server_id=1, heartbeat_s=1, read_timeout_s=1,
            limits=limits, clock=clock,
        )  # fmt: skip
        self._start = position
        self._replay = extension.Replay({**_UNUSED, **decoding(asked, position)}, guide, fold_names(), no_gtid_before())
        self._batch = BatchMaker(router, position)

    def feed(self, raw: bytes) -> list[Batch]:
        try:
            return [self._batch.of(batch) for batch in self._replay.feed(raw)]
        except extension.NativeFault as fault:
            raise named(fault, self._start) from None
        except TidemarkError as error:
            error.where = error.where or self._replay.place()
            raise

    def take(self) -> Batch | None:
        found = self._replay.take()
        return None if found is None else self._batch.of(found)
