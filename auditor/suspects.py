"""Documents that may be wrong, each once, beside the last operation that the window has of its key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from auditor.axis import Axis
from auditor.op import Op
from auditor.search import Range
from auditor.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """One document to look at again. `last`: its key's last operation below H, None if the window has none."""

    id: str
    last: Op | None


class Suspects:
    """Collected while searching, then read in chunks. `name`: of the table in the store that they are kept in."""

    def __init__(self, store: Store, name: str = "suspects") -> None:
        self._store = store
        self._name = name
        store.run(f"CREATE TABLE {name} (id BLOB)")

    def add_ranges(self, axis: Axis, ranges: Sequence[Range]) -> None:
        """Every expected key of the ranges."""
        axis.put_ids(self._name, ranges)

    def add(self, ids: Sequence[str]) -> None:
        self._store.insert(self._name, ("BLOB",), [[id_.encode() for id_ in ids]])

    def seal(self) -> int:
        """Join them with what is expected of them; how many there are."""
        self._store.run(f"""
            CREATE TABLE {self._name}_judged AS SELECT row_number() OVER () - 1 AS n, * FROM (
              SELECT s.id, l.key, l.partition, l."offset", l.seq, chr(l.op) AS op, l.ts_ms
              FROM (SELECT DISTINCT id FROM {self._name}) s LEFT JOIN last l ON document_id(l.key) = s.id)
            """)  # noqa: S608  our own name
        return self._count()

    def _count(self) -> int:
        [(count,)] = self._store.run(f"SELECT count(*) FROM {self._name}_judged")  # noqa: S608  our own name
        return int(count)

    def chunks(self, size: int) -> Iterator[list[Suspect]]:
        """In chunks of at most `size`."""
        for start in range(0, self._count(), size):
            rows = self._store.run(
                f'SELECT id, key, partition, "offset", seq, op, ts_ms FROM {self._name}_judged '  # noqa: S608
                "WHERE n >= $1 AND n < $2 ORDER BY n",
                [start, start + size],
            )
            yield [
                Suspect(id=id_.decode(), last=None if key is None else Op(key.decode(), *rest))
                for id_, key, *rest in rows
            ]
