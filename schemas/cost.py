"""What an audit took, how its search went, and where in the key space its findings lie: parts of the report."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator


class _Model(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="forbid", frozen=True)


class Level(_Model):
    """One round of the search.

    `ranges` were asked for, `dirty` of them differed; `keys`: expected in those that were asked for. `axis`: ranges of
    what; `scan`: the documents themselves were read, beside the keys.
    """

    axis: Literal["key", "offset", "scan"] = "key"
    ranges: int
    dirty: int
    keys: int
    requests: int
    seconds: float


class Lag(_Model):
    """How far the sink was when the audit began.

    `records`: offsets between its commits and the window's end, null if its group may not be looked at; `waited_s`:
    until it was past them; `newest_ts_ms`: commit time of the newest event in the window, null if it has none.
    """

    records: int | None = None
    waited_s: float = 0
    newest_ts_ms: int | None = None


class KeySpace(_Model):
    """Findings along the sorted keys of a table, all partitions together.

    `bounds` cut the keys into cells of about as many keys each: cell n holds the keys k with bounds[n-1] <= k <
    bounds[n], bytewise, the outer cells are open. `marks`: findings in each cell by class. A bound may be cut short.
    """

    bounds: list[str] = []
    marks: list[dict[str, int]] = [{}]

    @model_validator(mode="after")
    def _one_cell_more_than_bounds(self) -> KeySpace:
        if len(self.marks) != len(self.bounds) + 1:
            raise ValueError(f"{len(self.marks)} cells between {len(self.bounds)} bounds")
        return self


class Cost(_Model):
    """What the audit of a table took. `read_s`, `search_s`, `judge_s`: reading the topic, searching, asking again."""

    events: int = 0
    requests: int = 0
    rounds: int = 0
    response_bytes: int = 0
    seconds: float = 0
    read_s: float = 0
    search_s: float = 0
    judge_s: float = 0
