"""How far reading is: the latest event's place, and up to where everything was dealt with."""

from __future__ import annotations

from collections.abc import Callable

from cdc.source.transaction import Coordinates, is_behind
from cdc.source.wire import ARTIFICIAL_FLAG, Event, EventType, parse_rotate
from schemas.position import GtidSet, Position

FARTHEST_START = (1 << 32) - 1
_FILE_EVENTS = (EventType.ROTATE, EventType.FORMAT_DESCRIPTION)


class Progress:
    """Starts from a position and gives later ones.

    `no_gtid_before`: whether an empty GTID set is all there was before the start, and not merely unknown; asked when
    the first transaction ends.
    """

    def __init__(self, start: Position, no_gtid_before: Callable[[], bool]) -> None:
        self.at = Coordinates(start.file, start.pos)
        self._gtids = GtidSet(start.gtid_set)
        self._no_gtid_before = no_gtid_before
        self._first = not start.gtid_set
        # A dump cannot be asked to start past 4 GiB: then it starts at the file's beginning, and this much is passed.
        self._pass_until = start.pos if not start.gtid_set and start.pos > FARTHEST_START else 0
        self._resumable = self._given = (start.file, start.pos)
        self._moved = False

    @property
    def moved(self) -> bool:
        """True if something changed since the latest position was given."""
        return self._moved or self._resumable != self._given

    def advance(self, event: Event) -> bool:
        """Go past an event; true if it comes before the start, and is to be passed over."""
        self.at.advance(event)
        if self.at.end > self._pass_until or event.type in _FILE_EVENTS:
            return False
        self.breathe()  # it takes a while
        return True

    def executed(self, gtid: str) -> None:
        """A transaction has ended here."""
        # Begun by file in mid-history, it stays so: a set without a beginning would ask for all of it again.
        first, self._first = self._first, False
        if gtid and (self._gtids or (first and self._no_gtid_before())):
            self._gtids.add(gtid)
            self._moved = True

    def settle(self) -> None:
        """Everything up to the latest event's end was dealt with."""
        self._resumable = (self.at.file, self.at.end)

    def breathe(self) -> None:
        """The stream flows though nothing comes: a batch says so, even where the position has not moved."""
        self._moved = True

    def rotate(self, event: Event, *, between: bool) -> bool:
        """A ROTATE event; `between`: no transaction is open. True if the dump thread made it up to name the file."""
        file, pos = parse_rotate(event.body)
        made_up = bool(event.flags & ARTIFICIAL_FLAG)
        if file != self.at.file:  # the next one has none of what is passed
            self._pass_until = 0
        if not made_up and between:
            self._pass(file, pos)
        if not made_up or file != self.at.file or pos < self.at.end:
            self.at.rotate(file, pos)
        return made_up

    def heartbeat(self, event: Event, *, between: bool) -> None:
        """Nothing was logged for a while, or what was is in our GTID set: all up to there has been read."""
        file, pos = event.body.decode(), event.log_pos
        if pos and not (file == self.at.file and pos < self.at.end):
            if between:
                self._pass(file, pos)
            self.at.rotate(file, pos)

    def give(self) -> tuple[str, str, int]:
        """GTID set, file and position to go on from."""
        self._moved = False
        self._given = self._resumable
        return (str(self._gtids), *self._resumable)

    def _pass(self, file: str, pos: int) -> None:
        """Nothing of interest up to there. Asked by GTID, the dump goes over what is long done: that is no move."""
        if not is_behind((file, pos), self._resumable):
            self._resumable = (file, pos)
