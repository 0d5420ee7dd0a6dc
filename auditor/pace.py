"""How many documents a request may have to look at, so that it takes about half a second. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

TARGET_S = 0.5
_LEAST_DOCS = 50_000
_NEW = 0.5  # the weight of the last answer


class Pace:
    """Learns from every answer. The first request is not cut: nothing is known then, and a clean index needs one."""

    def __init__(self) -> None:
        self._docs_per_s: float | None = None

    @property
    def docs(self) -> float:
        return float("inf") if self._docs_per_s is None else max(_LEAST_DOCS, self._docs_per_s * TARGET_S)

    def cut(self, sizes: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
        """Cut ranges with so many documents each into requests: `[start, end)`, at most so many ranges in one."""
        start, docs = 0, 0
        for number, size in enumerate(sizes):
            if number > start and (number - start == most or docs + size > self.docs):
                yield start, number
                start, docs = number, 0
            docs += size
        if start < len(sizes):
            yield start, len(sizes)

    def took(self, docs: int, seconds: float, *, busy: bool = False) -> None:
        """What a request took. `busy`: Elasticsearch had refused it first, so the next are to be half as large."""
        if busy:
            self._docs_per_s = min(self._docs_per_s or docs / TARGET_S, docs / TARGET_S) / 2
        elif docs >= _LEAST_DOCS:
            seen = docs / max(seconds, 0.001)
            self._docs_per_s = seen if self._docs_per_s is None else _NEW * seen + (1 - _NEW) * self._docs_per_s
