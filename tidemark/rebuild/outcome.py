"""What a rebuild did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schemas.report import AuditReport


@dataclass(slots=True, kw_only=True)
class Outcome:
    """Filled while it goes on. `old`: the index that was replaced, empty if there was none; times in seconds.

    `offsets_set`: no sink was running, so the next one begins where the new index ends. `held_s`: None if it was not
    this run that moved the alias.
    """

    table: str
    alias: str
    index: str = ""
    old: str = ""
    old_dropped: bool = False
    resumed: bool = False
    swapped: bool = False
    offsets_set: bool = False
    records: int = 0
    fill_s: float = 0.0
    held_s: float | None = None
    audit: AuditReport | None = None

    def to_json(self) -> dict[str, Any]:
        """`tidemark.sink.rebuild/1`."""
        return {
            "schema": "tidemark.sink.rebuild/1",
            "table": self.table,
            "alias": self.alias,
            "index": self.index,
            "old": self.old or None,
            "old_dropped": self.old_dropped,
            "resumed": self.resumed,
            "swapped": self.swapped,
            "offsets_set": self.offsets_set,
            "records": self.records,
            "fill_s": round(self.fill_s, 3),
            "held_s": None if self.held_s is None else round(self.held_s, 3),
            "audit": self.audit.model_dump(mode="json", by_alias=True) if self.audit else None,
        }
