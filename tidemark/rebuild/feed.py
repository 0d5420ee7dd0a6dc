"""A sink of one table, in a thread of its own: it fills the index that is being built, and keeps up with the topic."""

from __future__ import annotations

import threading

from ops.health import Health
from ops.service import keep_going
from ops.settings import Settings
from ops.stop import Stop
from schemas.errors import MappingConflictError, OffsetsLostError, TidemarkError
from schemas.table import Table
from sink.pipeline import Sink

_END_S = 10


class Feed:
    """`settings` are the rebuild's own: its group, its alias."""

    def __init__(self, settings: Settings, table: Table) -> None:
        self._settings = settings
        self._table = table
        self._stop = Stop(_END_S)
        self._error: BaseException | None = None
        self._sink: Sink | None = None
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            keep_going(self._settings, self._stop, Health("sink", self._settings.source.name), self._body)
        except BaseException as error:  # noqa: BLE001  handed over by `check`
            self._error = error

    def _body(self, stop: Stop, health: Health) -> None:
        self._sink = Sink(self._settings, stop, health, self._table.full_name)
        self._sink.run()

    @property
    def settled(self) -> dict[int, int]:
        """Partition -> offset below which every record is in the index; partitions that are not ours yet are absent."""
        found = self._sink.settled if self._sink else {}
        return {number: offset for (topic, number), offset in found.items() if topic == self._table.topic}

    @property
    def waits_for(self) -> str:
        """Why nothing moves; empty if it does."""
        return self._sink.waits_for if self._sink else ""

    def check(self) -> None:
        """Raise what ended it, or what keeps it from ever reaching the end."""
        if isinstance(self._error, OffsetsLostError):
            raise OffsetsLostError(self._error.what, where=self._error.where, hint=self._anew) from self._error
        if self._error is not None:
            raise self._error
        target = self._sink.targets.get(self._table.topic) if self._sink else None
        if target is not None and target.version < target.tried:
            raise MappingConflictError(
                f"version {target.tried} of {self._table.full_name} came meanwhile, and does not fit the index",
                where=target.alias,
                hint=self._anew,
            )

    @property
    def _anew(self) -> str:
        return f"tidemark sink rebuild {self._table.full_name} --restart\nthrows away what is built, and begins again."

    def close(self) -> None:
        """End it: what is in flight is settled and committed, and the group is left. Raises if it does not end."""
        self._stop.request("the rebuild has what it needs")
        self._thread.join(_END_S + 5)
        if self._thread.is_alive():
            raise TidemarkError("the sink of the rebuild does not end", where=self._table.topic)
