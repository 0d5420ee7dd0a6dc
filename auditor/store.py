"""A DuckDB of the audit's own, within a memory limit; what does not fit is on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import duckdb

from auditor.arrow import Batch, Batches
from auditor.columns import Packed
from auditor.spill import Spill, unroomy

# As schemas.key.document_id, on UTF-8; ';' comes after ':'.
_DOCUMENT_ID = """
CREATE MACRO document_id(key) AS
CASE WHEN octet_length(key) BETWEEN 1 AND 512 AND NOT (key >= 'sha256:'::BLOB AND key < 'sha256;'::BLOB) THEN key
     ELSE ('sha256:' || sha256(key))::BLOB END
"""


class Store:
    """One database in a temporary folder, gone when closed. Keys and ids are BLOBs: their order is bytewise.

    Raises `InconclusiveError` if there is no room for it.
    """

    def __init__(self, memory_bytes: int) -> None:
        self.memory_bytes = memory_bytes
        self._spill = Spill()
        try:
            self._connection = self._connected()
        except duckdb.Error as error:
            self._spill.close()
            raise unroomy("a place to sort keys cannot be made", error, str(self._spill.place)) from error

    def _connected(self) -> duckdb.DuckDBPyConnection:
        made = duckdb.connect(
            ":memory:",  # tables are spilled like everything else, and no log is written of what nobody will recover
            config={
                "memory_limit": f"{max(1, self.memory_bytes >> 20)}MiB",
                "threads": 2,
                "temp_directory": str(self._spill.place / "spill"),
            },
        )
        made.execute("SET enable_progress_bar = false")  # it would stand on stdout, amidst the report
        made.execute(_DOCUMENT_ID)
        return made

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement; all of its rows. Raises `InconclusiveError` if memory or disk are too small for it."""
        try:
            found: list[tuple[Any, ...]] = self._connection.execute(sql, list(parameters)).fetchall()
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise unroomy("the keys cannot be sorted", error, str(self._spill.place)) from error
        return found

    def insert(self, table: str, types: Sequence[str], columns: Sequence[Sequence[Any]]) -> None:
        """Append whole columns."""
        if columns and columns[0]:
            self._append(table, Batch(types, columns))

    def insert_packed(self, table: str, types: Sequence[str], packed: Sequence[Packed]) -> None:
        """Append packed rows."""
        if packed:
            self._append(table, Batches(types, packed))

    def _append(self, table: str, rows: Batch | Batches) -> None:
        self._connection.register("batch", rows)
        self.run(f"INSERT INTO {table} SELECT * FROM batch")  # noqa: S608  names of our own
        self._connection.unregister("batch")

    def close(self) -> None:
        self._connection.close()
        self._spill.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
