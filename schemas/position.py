"""Where a source has been read to: GTID set, file and position, the open transaction, and seq."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from schemas.table import FORMAT, check_format

SEQ_STEP = 1024  # the low 10 bits are for repairs
EPOCH_SHIFT = 39
_EPOCH_START = datetime(2024, 1, 1, tzinfo=UTC)
_INTERVAL = re.compile(r"(\d+)(?:-(\d+))?")
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TAG, _INTERVALS = r":[a-z_][a-z0-9_]{0,31}", r"(?::\d+(?:-\d+)?)+"
_ONE_SOURCE = rf"{_UUID}(?:{_TAG})?{_INTERVALS}(?:{_TAG}{_INTERVALS})*"  # only one way to match: linear in time
_GTID_SET = re.compile(rf"(?:{_ONE_SOURCE}(?:,{_ONE_SOURCE})*)?")
_BLANKS = re.compile(r"\s*([,:-])\s*")
_HIGHEST_SEQ = (1 << 63) - 1


def first_seq(now: datetime, highest: int = 0) -> int:
    """Where a new epoch starts: above `now` in minutes, and above the epoch of the highest seq ever seen."""
    minutes = int((now - _EPOCH_START).total_seconds() // 60)
    epoch = max(minutes, (highest >> EPOCH_SHIFT) + 1) if highest else minutes
    return epoch << EPOCH_SHIFT


def begins_epoch(seq: int) -> bool:
    """True of a position's seq under which no event was given out."""
    return seq % (1 << EPOCH_SHIFT) == 0


class GtidSet:
    """A set of MySQL GTIDs, `uuid[:tag]:first-last[:…]`; gaps and tags are kept. Intervals are inclusive."""

    __slots__ = ("_sets",)

    def __init__(self, text: str = "") -> None:
        self._sets: dict[str, list[tuple[int, int]]] = {}
        for part in filter(None, (piece.strip() for piece in text.replace("\n", "").split(","))):
            uuid, *rest = part.split(":")
            source = uuid.lower()
            for item in rest:
                bounds = _INTERVAL.fullmatch(item.strip())
                if bounds is None:
                    source = f"{uuid.lower()}:{item.strip().lower()}"
                    continue
                first = int(bounds[1])
                self._insert(source, first, int(bounds[2] or first))

    def _insert(self, source: str, first: int, last: int) -> None:
        intervals = self._sets.setdefault(source, [])
        if intervals and first == intervals[-1][1] + 1:  # the usual case: the next transaction
            intervals[-1] = (intervals[-1][0], last)
            return
        merged: list[tuple[int, int]] = []
        for low, high in sorted([*intervals, (first, last)]):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        self._sets[source] = merged

    def add(self, gtid: str) -> None:
        """Add one GTID, `uuid[:tag]:number`."""
        source, number = gtid.lower().rsplit(":", 1)
        self._insert(source, int(number), int(number))

    def __contains__(self, gtid: str) -> bool:
        source, number = gtid.lower().rsplit(":", 1)
        return any(low <= int(number) <= high for low, high in self._sets.get(source, ()))

    def covers(self, other: GtidSet) -> bool:
        """True if every GTID of `other` is in this set."""
        return all(
            any(low <= first and last <= high for low, high in self._sets.get(source, ()))
            for source, intervals in other._sets.items()
            for first, last in intervals
        )

    def copy(self) -> GtidSet:
        twin = GtidSet()
        twin._sets = {source: list(intervals) for source, intervals in self._sets.items()}
        return twin

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GtidSet) and self._sets == other._sets

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __bool__(self) -> bool:
        return bool(self._sets)

    def __str__(self) -> str:
        return ",".join(f"{source}:{_intervals(self._sets[source])}" for source in sorted(self._sets))

    def __repr__(self) -> str:
        return f"GtidSet({str(self)!r})"


def named_gtids(text: str) -> GtidSet:
    """The set that a person wrote; blanks around separators do not matter. Raises `ValueError` for anything else.

    `GtidSet` takes what servers wrote, and would read a mistyped set as a smaller one.
    """
    plain = _BLANKS.sub(r"\1", text.strip()).lower()
    if not plain or not _GTID_SET.fullmatch(plain):
        raise ValueError(f"`{text}` is no GTID set: `<uuid>:<first>-<last>`, several separated by commas, is one")
    for piece in (piece for source in plain.split(",") for piece in source.split(":")[1:]):
        found = _INTERVAL.fullmatch(piece)
        if found and not 0 < int(found[1]) <= int(found[2] or found[1]):
            raise ValueError(f"`{piece}` is no interval of a GTID set: it goes from a first to a last, from 1 on")
    return GtidSet(plain)


def _intervals(intervals: Iterable[tuple[int, int]]) -> str:
    return ":".join(str(low) if low == high else f"{low}-{high}" for low, high in intervals)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTransaction:
    """How far a transaction was published whose end was not: counted over all tables, filtered ones included.

    `event`: rows events wholly published; `row`: rows published of the one after them. `gtid` is empty without GTIDs.
    """

    gtid: str
    event: int
    row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A resumable position: `gtid_set`, `file` and `pos` are those of the last complete transaction.

    `seq`: the highest one given out. `partitions`: topic -> pinned partition count.
    """

    gtid_set: str
    file: str
    pos: int
    server_uuid: str
    seq: int
    open: OpenTransaction | None = None
    partitions: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The value of the record `"position"` in `<source>.__positions`."""
        opened = self.open and {"gtid": self.open.gtid, "event": self.open.event, "row": self.open.row}
        return {
            "format": FORMAT,
            "gtid_set": self.gtid_set,
            "file": self.file,
            "pos": self.pos,
            "server_uuid": self.server_uuid,
            "open": opened,
            "seq": self.seq,
            "partitions": dict(self.partitions),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Position:
        """Raises `FormatError` for a newer format, `ValueError` or `KeyError` for what is no position."""
        check_format(record, "position record")
        opened, partitions = record["open"], record["partitions"]
        if not _GTID_SET.fullmatch("".join(_text(record, "gtid_set").lower().split())):
            raise ValueError(f"gtid_set is {record['gtid_set']!r}")
        return cls(
            gtid_set=_text(record, "gtid_set"),
            file=_text(record, "file"),
            pos=_whole(record, "pos"),
            server_uuid=_text(record, "server_uuid"),
            open=None if opened is None else _open_transaction(opened),
            seq=_whole(record, "seq"),
            partitions={topic: _whole(partitions, topic) for topic in partitions},
        )


def _open_transaction(record: Mapping[str, Any]) -> OpenTransaction:
    return OpenTransaction(gtid=_text(record, "gtid"), event=_whole(record, "event"), row=_whole(record, "row"))


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record[name]
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}")  # noqa: TRY004  a value that was read, not a caller's mistake
    return value


def _whole(record: Mapping[str, Any], name: str) -> int:
    value = record[name]
    if type(value) is not int or not 0 <= value <= _HIGHEST_SEQ:
        raise ValueError(f"{name} is {value!r}")
    return value
