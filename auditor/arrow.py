"""Columns that DuckDB reads where they are, without a Python object for each value."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import nanoarrow

_Buffers = Callable[[Sequence[Any]], list[Any]]
_Kind = tuple[Any, _Buffers]


def _numbers(code: str) -> _Buffers:
    return lambda column: [None, array(code, column)]


def _bytes(column: Sequence[bytes]) -> list[Any]:
    return [None, array("i", accumulate(map(len, column), initial=0)), b"".join(column)]


def _texts(column: Sequence[str]) -> list[Any]:
    return _bytes([text.encode() for text in column])


_KINDS: dict[str, _Kind] = {
    "BLOB": (nanoarrow.binary(), _bytes),
    "VARCHAR": (nanoarrow.string(), _texts),
    "UTINYINT": (nanoarrow.uint8(), _numbers("B")),
    "INTEGER": (nanoarrow.int32(), _numbers("i")),
    "BIGINT": (nanoarrow.int64(), _numbers("q")),
    "UBIGINT": (nanoarrow.uint64(), _numbers("Q")),
}


def _column(kind: Any, buffers: _Buffers, column: Sequence[Any]) -> Any:
    try:
        return nanoarrow.c_array_from_buffers(kind, len(column), buffers(column), null_count=0)
    except (TypeError, AttributeError):  # there is a null
        return nanoarrow.c_array(list(column), kind)


class Batch:
    """Rows as columns of DuckDB's types; at most 2 GiB in one column."""

    def __init__(self, types: Sequence[str], columns: Sequence[Sequence[Any]]) -> None:
        rows = len(columns[0])
        kinds = [_KINDS[name] for name in types]
        self._array = nanoarrow.c_array_from_buffers(
            nanoarrow.struct({f"c{number}": kind for number, (kind, _) in enumerate(kinds)}),
            rows,
            [None],
            null_count=0,
            children=[_column(*kind, column) for kind, column in zip(kinds, columns, strict=True)],
        )

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        # DuckDB asks twice, for the schema and for the rows, and releases what it gets.
        return nanoarrow.c_array_stream(self._array).__arrow_c_stream__(requested_schema)
