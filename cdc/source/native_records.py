"""The native engine's records: bytes that become Python objects only when they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from cdc.source.seam import Record


class NativeRecords(Sequence[Record]):
    """A batch's records in source order; `raw`: the extension's batch, whose `tail` holds records made in Python."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._tail: Sequence[Record] = raw.tail

    def __len__(self) -> int:
        return len(self._raw) + len(self._tail)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = index + len(self) if index < 0 else index
        encoded = len(self._raw)
        return Record(*self._raw.record(number)) if 0 <= number < encoded else self._tail[max(0, number - encoded)]

    def __iter__(self) -> Iterator[Record]:
        for number in range(len(self._raw)):
            yield Record(*self._raw.record(number))
        yield from self._tail

    def topics(self) -> Mapping[str, int]:
        """Topic -> how many records that are no tombstones."""
        counts = Counter(self._raw.topics())
        counts.update(record.topic for record in self._tail)
        return counts

    def runs(self, longest: int) -> Iterator[tuple[str, int, list[dict[str, Any]]] | Record]:
        """Topic, partition and messages for one call of `produce_batch`; between them records that go by themselves.

        These have headers, or are large: then their value is no `bytes`, but C code can read it as if it were.
        """
        for run in self._raw.runs(longest):
            yield Record(*self._raw.message(run)) if isinstance(run, int) else run
        yield from self._tail

    def release(self) -> None:
        """Give up the records' memory; only their topics can be asked for from now on."""
        self._raw.release()
