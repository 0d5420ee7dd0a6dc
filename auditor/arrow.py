"""Columns that DuckDB reads where they are, without a Python object for each value."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, islice
from typing import Any

import nanoarrow
from nanoarrow.c_array_stream import CArrayStream

from auditor.columns import Packed

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


_OF_TWO_BUFFERS = ("BLOB", "VARCHAR")


def _column(kind: Any, buffers: _Buffers, column: Sequence[Any]) -> Any:
    try:
        return nanoarrow.c_array_from_buffers(kind, len(column), buffers(column), null_count=0)
    except (TypeError, AttributeError):  # there is a null
        return nanoarrow.c_array(list(column), kind)


def _struct(types: Sequence[str]) -> Any:
    return nanoarrow.struct({f"c{number}": _KINDS[name][0] for number, name in enumerate(types)})


def _rows(schema: Any, count: int, children: Sequence[Any]) -> Any:
    return nanoarrow.c_array_from_buffers(schema, count, [None], null_count=0, children=children)


class Batch:
    """Rows as columns of DuckDB's types; at most 2 GiB in one column."""

    def __init__(self, types: Sequence[str], columns: Sequence[Sequence[Any]]) -> None:
        children = [_column(*_KINDS[name], column) for name, column in zip(types, columns, strict=True)]
        self._array = _rows(_struct(types), len(columns[0]), children)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        # DuckDB asks twice, for the schema and for the rows, and releases what it gets.
        return nanoarrow.c_array_stream(self._array).__arrow_c_stream__(requested_schema)


class Batches:
    """The same of rows that are packed: they are not copied before DuckDB does it."""

    def __init__(self, types: Sequence[str], packed: Sequence[Packed]) -> None:
        self._schema = nanoarrow.c_schema(_struct(types))
        self._kinds = [(nanoarrow.c_schema(_KINDS[name][0]), 2 if name in _OF_TWO_BUFFERS else 1) for name in types]
        self._arrays = [_rows(self._schema, some.rows, list(self._children(some))) for some in packed]

    def _children(self, some: Packed) -> Iterator[Any]:
        buffers = iter(some.buffers)
        for kind, count in self._kinds:
            yield nanoarrow.c_array_from_buffers(kind, some.rows, [None, *islice(buffers, count)], null_count=0)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        stream = CArrayStream.from_c_arrays(self._arrays, self._schema, move=False, validate=False)
        return stream.__arrow_c_stream__(requested_schema)
