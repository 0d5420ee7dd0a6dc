"""A DuckDB file of the audit's own, within a memory limit; what does not fit is on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import duckdb
import orjson

from schemas.errors import InconclusiveError


class Store:
    """One database in a temporary folder, gone when closed. Keys and ids are BLOBs: their order is bytewise."""

    def __init__(self, memory_bytes: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tidemark-audit-")
        place = Path(self._folder.name)
        self.memory_bytes = memory_bytes
        self._connection = duckdb.connect(
            str(place / "keys.duckdb"),
            config={
                "memory_limit": f"{max(1, memory_bytes >> 20)}MiB",
                "threads": 2,
                "temp_directory": str(place / "spill"),
            },
        )

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement; all of its rows. Raises `InconclusiveError` if memory or disk are too small for it."""
        try:
            found: list[tuple[Any, ...]] = self._connection.execute(sql, list(parameters)).fetchall()
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise InconclusiveError(
                f"the keys cannot be sorted: {str(error).splitlines()[0]}",
                where=self._folder.name,
                hint="Raise [audit] memory, or give TMPDIR more room.",
            ) from error
        return found

    def insert(self, table: str, types: Sequence[str], columns: Sequence[Sequence[Any]]) -> None:
        """Append whole columns: a hundred times as fast as row by row."""
        if columns and columns[0]:
            values = ", ".join(_column(number, kind) for number, kind in enumerate(types, 1))
            self.run(f"INSERT INTO {table} SELECT {values}", [_text(column) for column in columns])

    def close(self) -> None:
        self._connection.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# DuckDB takes in one JSON text three times as fast as a Python list of the same values; hex is safe for any byte.
def _column(number: int, kind: str) -> str:
    if kind == "BLOB":
        return f"unhex(unnest(from_json(${number}::JSON, '[\"VARCHAR\"]')))"
    return f"unnest(from_json(${number}::JSON, '[\"{kind}\"]'))"


def _text(column: Sequence[Any]) -> str:
    return orjson.dumps([value.hex() if isinstance(value, bytes) else value for value in column]).decode()
