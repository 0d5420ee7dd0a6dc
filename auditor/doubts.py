"""Keys whose row and document differed once: looked at again, until they are settled or proven wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import orjson

from auditor.store import Store

_TYPES = ("BLOB", "VARCHAR", "UBIGINT", "BIGINT", "INTEGER")


class Doubt(NamedTuple):
    """One key. `values`: of the key's columns; `row`: digest of its row when it was read last, 0 for none.

    `version`: of its document when it was wrong last; `wrong`: how many rounds it has been, without a change of either.
    """

    id: str
    values: list[object]
    row: int = 0
    version: int = 0
    wrong: int = 0


class Doubts:
    """Those of one round, in the audit's store."""

    def __init__(self, store: Store, number: int) -> None:
        self._store = store
        self._name = f"doubts{number}"
        self._count = 0
        store.run(
            f"CREATE TABLE {self._name} (n BIGINT, id BLOB, key VARCHAR, row UBIGINT, version BIGINT, wrong INTEGER)"
        )

    def add(self, doubts: Sequence[Doubt]) -> None:
        rows = [
            (self._count + n, doubt.id.encode(), orjson.dumps(doubt.values).decode(), *doubt[2:])
            for n, doubt in enumerate(doubts)
        ]
        self._count += len(rows)
        self._store.insert(self._name, ("BIGINT", *_TYPES), list(zip(*rows, strict=True)))

    def __len__(self) -> int:
        return self._count

    def chunks(self, size: int) -> Iterator[list[Doubt]]:
        """In chunks of at most `size`."""
        for start in range(0, self._count, size):
            rows = self._store.run(
                f"SELECT id, key, row, version, wrong FROM {self._name} WHERE n >= $1 AND n < $2 ORDER BY n",  # noqa: S608
                [start, start + size],
            )
            yield [Doubt(id_.decode(), orjson.loads(key), *rest) for id_, key, *rest in rows]
