"""How many rows or documents to ask for at once, so that they are about so many bytes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from schemas.errors import PartialAnswerError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_GROWTH = 4


class TooLargeError(PartialAnswerError):
    """An answer was cut off, since it would not fit into memory: less of it has to be asked for at once."""


class Page:
    """`rows`: to ask for next, at first `first` and never over `most`, as the last ones weighed.

    That says nothing of rows that grow: whoever asks has to cut an answer that turns out too large.
    """

    def __init__(self, *, first: int, most: int, size_bytes: int) -> None:
        self.rows = first
        self._most = most
        self._size_bytes = size_bytes

    def took(self, rows: int, size_bytes: int) -> None:
        """So many rows had so many bytes."""
        weight = size_bytes // max(1, rows) + 1
        self.rows = max(1, min(self._most, self.rows * _GROWTH, self._size_bytes // weight))

    def halve(self) -> None:
        self.rows = max(1, self.rows // 2)


def in_parts(items: Sequence[_Item], work: Callable[[Sequence[_Item]], Iterable[_Result]]) -> Iterator[_Result]:
    """What `work` makes of all items, or of their halves where an answer is too large, down to single ones."""
    try:
        done = list(work(items))
    except TooLargeError:
        if len(items) == 1:
            raise
        half = len(items) // 2
        yield from in_parts(items[:half], work)
        yield from in_parts(items[half:], work)
    else:
        yield from done
