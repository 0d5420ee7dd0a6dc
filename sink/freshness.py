"""How old the unread records of a partition can be, those included that compaction has removed.

A delete and its tombstone can both be gone when a sink comes back; the next record that is still there may be young
all the same. So with every offset a time is committed before which all records were read.
"""

from __future__ import annotations


class Freshness:
    """`read_ms`: every record that was published before this time lies below the mark; 0 if that is not known."""

    __slots__ = ("_next", "read_ms")

    def __init__(self, read_ms: int) -> None:
        self.read_ms = read_ms
        self._next: tuple[int, int] | None = None  # an offset, and when the record before it was published

    def read(self, end: int, published_ms: int) -> None:
        """Records up to the offset `end` were read, but are not settled yet."""
        if self._next is None:
            self._next = end, published_ms

    def settled(self, mark: int) -> None:
        """All records below the offset `mark` are settled."""
        if self._next is not None and mark >= self._next[0]:
            self.read_ms = max(self.read_ms, self._next[1])
            self._next = None

    def caught_up(self, now_ms: int) -> None:
        """There was nothing more to read, and nothing open."""
        self.read_ms = max(self.read_ms, now_ms)
        self._next = None


def unread_since_ms(*, end: int, offset: int, published_ms: int, read_ms: int, began_ms: int) -> int:
    """No unread record was published before this time.

    `offset` and `published_ms` are those of the first that is there; `end`: where reading ended; `began_ms`: when it
    began, over an index that lacked no delete until then. Offsets are also missing where a transaction ended, so a gap
    proves nothing; where there is none, nothing is gone.
    """
    oldest_ms = read_ms if offset > end and read_ms else published_ms
    return max(min(oldest_ms, published_ms), began_ms)
