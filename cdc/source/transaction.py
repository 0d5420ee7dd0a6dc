"""The transaction that is being read, and where it stands in the binlog."""

from __future__ import annotations

from cdc.source.wire import ARTIFICIAL_FLAG, Event
from schemas.errors import PositionLostError
from schemas.position import OpenTransaction

_WRAP = 1 << 32


class Coordinates:
    """File and position, in 64 bits: the header's position wraps at 4 GiB, which one transaction can pass."""

    __slots__ = ("end", "file", "start")

    def __init__(self, file: str, pos: int) -> None:
        self.file = file
        self.start = self.end = pos

    def rotate(self, file: str, pos: int) -> None:
        """The next event is at `pos` of `file`."""
        self.file = file
        self.start = self.end = pos

    def advance(self, event: Event) -> None:
        """Go past an event. Artificial ones stand in no file; their position is 0."""
        if event.flags & ARTIFICIAL_FLAG or not event.log_pos:
            return
        end = self.end - self.end % _WRAP + event.log_pos
        self.end = end + _WRAP if end < self.end else end
        self.start = self.end - event.size

    def __str__(self) -> str:
        return f"{self.file}:{self.start}"


def is_behind(one: tuple[str, int], other: tuple[str, int]) -> bool:
    """True if a file and position come before others of the same server: files are numbered, `bin.000001`."""
    (name, _, number), (other_name, _, other_number) = one[0].rpartition("."), other[0].rpartition(".")
    if name != other_name or not (number.isdigit() and other_number.isdigit()):
        return False
    return (int(number), one[1]) < (int(other_number), other[1])


class Transaction:
    """One transaction: who and when, what of it was read, and the counts that its events carry.

    `event` and `row` count rows events, and rows of the one being read, over all tables.
    """

    __slots__ = ("begun", "captured", "commit_us", "event", "gtid", "id", "orders", "row", "thread", "total", "xa")

    def __init__(self, gtid: str, commit_us: int, where: str) -> None:
        self.gtid = gtid
        self.id = gtid or where
        self.commit_us = commit_us
        self.thread = 0
        self.event = self.row = self.total = 0
        self.orders: dict[str, int] = {}
        self.begun = self.captured = self.xa = False

    def count(self, table: str) -> tuple[int, int]:
        """The place of the next event in the transaction, and among those of its table."""
        self.total += 1
        order = self.orders.get(table, 0) + 1
        self.orders[table] = order
        return self.total, order

    def open(self) -> OpenTransaction:
        return OpenTransaction(gtid=self.gtid, event=self.event, row=self.row)


class Skip:
    """What of a transaction was published before an interruption."""

    def __init__(self, opened: OpenTransaction | None) -> None:
        self._opened = opened

    @property
    def pending(self) -> OpenTransaction | None:
        """What was published of a transaction whose published part still lies ahead."""
        return self._opened

    def covers(self, event: int) -> bool:
        """True if what comes before a rows event, given by its ordinal, was dealt with."""
        return self._opened is not None and (event, 0) < (self._opened.event, self._opened.row)

    def begin(self, gtid: str) -> None:
        """The first transaction after a resume has to be the one that was open."""
        if self._opened is not None and self._opened.gtid != gtid:
            raise PositionLostError(
                f"the transaction {self._opened.gtid or '(anonymous)'}, published in part, does not come next; "
                f"{gtid or 'an anonymous one'} does",
                hint="The server is another one, or its binlogs were reset. Resume it there from its start, or reset.",
            )

    def rows(self, event: int) -> int | None:
        """How many rows of a rows event were published; None: all of them."""
        opened = self._opened
        if opened is None:
            return 0
        if event < opened.event:
            return None
        self._opened = None
        return opened.row if event == opened.event else 0

    def finish(self, events: int) -> None:
        """The transaction has ended; all that was published must have been in it."""
        opened, self._opened = self._opened, None
        if opened is not None and (opened.event > events or (opened.event == events and opened.row)):
            raise PositionLostError(
                f"the transaction {opened.gtid or '(anonymous)'} has {events} rows events, "
                f"though more than {opened.event} of it were published",
                hint="The binlog is not the one that was read before. Say where to go on: `tidemark cdc position reset "
                "--to …`, and rewrite the rows that `tidemark audit run --against mysql` names.",
            )
