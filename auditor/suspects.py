"""Documents that may be wrong, each once, beside the last operation that the window has of its key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from auditor.op import Op
from auditor.search import Range
from auditor.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """One document to look at again. `last`: its key's last operation below H, None if the window has none."""

    id: str
    last: Op | None


class Suspects:
    """Collected while searching, then read in chunks."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.run("CREATE TABLE suspects (id BLOB)")

    def add_range(self, part: Range) -> None:
        """Every expected key of a range."""
        self._store.run(
            "INSERT INTO suspects SELECT coalesce(hashed, key) FROM live WHERE rank >= $1 AND rank < $2",
            [part.low, part.high],
        )

    def add(self, ids: Sequence[str]) -> None:
        self._store.insert("suspects", ("BLOB",), [[id_.encode() for id_ in ids]])

    def seal(self) -> int:
        """Join them with what is expected of them; how many there are."""
        self._store.run("""
            CREATE TABLE judged AS SELECT row_number() OVER () - 1 AS n, * FROM (
              SELECT s.id, l.key, l.partition, l."offset", l.seq, l.op, l.ts_ms
              FROM (SELECT DISTINCT id FROM suspects) s LEFT JOIN last l ON coalesce(l.hashed, l.key) = s.id)""")
        [(count,)] = self._store.run("SELECT count(*) FROM judged")
        return int(count)

    def chunks(self, size: int) -> Iterator[list[Suspect]]:
        """In chunks of at most `size`."""
        [(count,)] = self._store.run("SELECT count(*) FROM judged")
        for start in range(0, count, size):
            rows = self._store.run(
                'SELECT id, key, partition, "offset", seq, op, ts_ms FROM judged WHERE n >= $1 AND n < $2 ORDER BY n',
                [start, start + size],
            )
            yield [
                Suspect(id=id_.decode(), last=None if key is None else Op(key.decode(), *rest))
                for id_, key, *rest in rows
            ]
