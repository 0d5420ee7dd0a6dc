"""The native decoder without a connection, to be used where a test uses the portable `Decoder`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cdc.source.decoder import Limits
from cdc.source.native import extension
from cdc.source.native_batch import BatchMaker
from cdc.source.native_errors import named
from cdc.source.native_guide import Guide
from cdc.source.seam import Batch, Router
from schemas.errors import TidemarkError
from schemas.event import CONNECTOR, VERSION
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
    ) -> None:
        guide = Guide(name=name, router=router, known=known, versions=versions)
        opened = position.open
        options = {
            **_UNUSED,
            "batch_events": limits.batch_events,
            "batch_bytes": limits.batch_bytes,
            "event_bytes": limits.event_bytes,
            "version": VERSION,
            "connector": CONNECTOR,
            "source_name": name,
            "now_us": int(clock() * 1_000_000),
            "server_uuid": position.server_uuid,
            "gtid_set": position.gtid_set,
            "file": position.file,
            "pos": position.pos,
            "seq": position.seq,
            "open": (opened.gtid, opened.event, opened.row) if opened else None,
        }
        self._start = position
        self._replay = extension.Replay(options, guide, fold_names(), no_gtid_before())
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
