"""How far cdc is, as the position that it commits with its events tells."""

from __future__ import annotations

import time

import orjson

from auditor.mysql_server import Mark
from auditor.run_context import Context
from ops.control import ControlReader
from schemas.errors import FormatError, LaggingError
from schemas.names import positions_topic
from schemas.position import GtidSet, Position

_POSITION_KEY = b'"position"'
_POLL_S = 0.2


class CdcSide:
    """Reads `<source>.__positions` on, as often as asked."""

    def __init__(self, context: Context) -> None:
        self._context = context
        name = positions_topic(context.settings.source.name)
        self._reader = ControlReader(context.settings.kafka, context.client_id, name)
        self._position: Position | None = None

    def wait(self, mark: Mark) -> None:
        """Wait until everything below the mark is published.

        Raises `LaggingError` if that takes too long, `FormatError` if the position is damaged.
        """
        deadline = time.monotonic() + self._context.settings.audit.wait_s
        while not self._passed(mark):
            self._context.pulse()
            if time.monotonic() > deadline:
                at = f"{self._position.file}:{self._position.pos}" if self._position else "nothing"
                raise LaggingError(
                    f"cdc is at {at} of the binlog and has to pass {mark.file}:{mark.pos}",
                    where=self._context.settings.source.where,
                    hint="See `tidemark status`: start cdc, or give it longer with [audit] wait_s.",
                )
            self._context.stop.wait(_POLL_S)

    def _passed(self, mark: Mark) -> bool:
        # Only the last one counts: one before it may be damaged, which `tidemark cdc position reset` has mended since.
        last = None
        for message in self._reader.to_end():
            if message.key() == _POSITION_KEY:
                last = message.value() or last
        if last is not None:
            self._position = self._parsed(last)
        at = self._position
        if at is None:
            return False
        if at.server_uuid == mark.server_uuid:
            return mark.reached(at.file, at.pos)
        return bool(mark.gtid_set) and GtidSet(at.gtid_set).covers(GtidSet(mark.gtid_set))

    def _parsed(self, value: bytes) -> Position:
        try:
            return Position.from_json(orjson.loads(value))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(
                f"the stored position cannot be read: {type(error).__name__}: {error}",
                where=positions_topic(self._context.settings.source.name),
                hint="Mend it first: docs/errors/format.md.",
            ) from None

    def close(self) -> None:
        self._reader.close()
