"""XA transactions that were prepared while we read, and what became of them."""

from __future__ import annotations

import re

from cdc.source.query import Query
from cdc.source.refusal import unsupported
from cdc.source.wire import EventType, parse_xa_prepare

_KNOWN = 10_000
_OUTCOME = re.compile(r"\s*XA\s+(COMMIT|ROLLBACK)\s+(\S+)", re.IGNORECASE)


class Prepared:
    """None of those remembered has rows of captured tables: such rows are refused before. `engine`: for messages."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._xids: set[str] = set()

    def add(self, body: bytes) -> None:
        """An XA_PREPARE event."""
        one_phase, xid = parse_xa_prepare(body)
        if not one_phase and len(self._xids) < _KNOWN:
            self._xids.add(xid)

    def settle(self, query: Query) -> None:
        """XA COMMIT or XA ROLLBACK. Raises if what is committed was prepared before reading began."""
        outcome = _OUTCOME.match(query.text)
        if outcome and outcome[1].upper() == "COMMIT" and outcome[2] not in self._xids:
            raise unsupported(EventType.XA_PREPARE, engine=self._engine)
        self._xids.discard(outcome[2] if outcome else "")
