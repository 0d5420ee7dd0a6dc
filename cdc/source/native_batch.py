"""The native engine's batches as the seam wants them."""

from __future__ import annotations

from typing import Any

from cdc.source.native_records import NativeRecords
from cdc.source.seam import Batch, Loss, LossKind, Router
from schemas.position import OpenTransaction, Position


class BatchMaker:
    """Knows what the extension does not: the server's UUID, and the partitions of topics used so far."""

    def __init__(self, router: Router, start: Position) -> None:
        self._router = router
        self._server_uuid = start.server_uuid
        self._partitions = dict(start.partitions)

    def of(self, raw: Any) -> Batch:
        """A batch of the extension's."""
        records = NativeRecords(raw)
        new = sorted(records.topics().keys() - self._partitions.keys())
        if new:
            self._partitions = {**self._partitions, **{topic: self._router.partitions(topic) for topic in new}}
        return Batch(
            records=records,
            position=self._position(raw),
            tables=tuple(raw.tables),
            ddl=raw.ddl,
            rows=raw.rows,
            size_bytes=raw.size_bytes,
            commit_ts_ms=raw.commit_us // 1000,
            more=raw.more and raw.ddl is None,
            losses=tuple(
                Loss(kind=LossKind(kind), table=table, columns=tuple(columns), count=count)
                for kind, table, columns, count in raw.losses
            ),
        )

    def _position(self, raw: Any) -> Position:
        opened = raw.open
        return Position(
            gtid_set=raw.gtid_set,
            file=raw.file,
            pos=raw.pos,
            server_uuid=self._server_uuid,
            seq=raw.seq,
            open=OpenTransaction(gtid=opened[0], event=opened[1], row=opened[2]) if opened else None,
            partitions=self._partitions,
        )
