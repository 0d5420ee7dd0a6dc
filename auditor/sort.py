"""Sorts the expected keys bytewise, slice by slice, into ranks with prefix sums.

DuckDB's own sort wants all keys of a sort in memory as soon as they are long; a slice of the key space always fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from auditor.store import Store

_ROW_BYTES = 64
_SLICES_IN_MEMORY = 8
_SAMPLE_ROWS = 2000
_SAMPLES_IN_MEMORY = 64

_LIVE = "FROM live WHERE partition = $1"
_SLICE = f"""
INSERT INTO by_key
SELECT $4 + row_number() OVER () - 1, *, $5 + sum(fp) OVER (ROWS UNBOUNDED PRECEDING)
FROM (SELECT partition, key, "offset", fp {_LIVE} AND key >= $2 AND ($3::BLOB IS NULL OR key < $3) ORDER BY key)
"""  # noqa: S608  constants of this file


def sort(store: Store, partitions: Sequence[int]) -> None:
    """Make the table `by_key` out of `live`."""
    store.run(
        'CREATE TABLE by_key (rank BIGINT, partition INTEGER, key BLOB, "offset" BIGINT, fp INTEGER, total BIGINT)'
    )
    rank = total = 0
    for partition in partitions:
        for low, high in _slices(store, partition):
            store.run(_SLICE, [partition, low, high, rank, total])
            [(rank, total)] = store.run("SELECT coalesce(max(rank) + 1, 0), coalesce(max(total), 0) FROM by_key")


def _slices(store: Store, partition: int) -> Iterator[tuple[bytes, bytes | None]]:
    """Key ranges `[low, high)` of about equal size, each a fraction of the memory limit."""
    [(size, longest)] = store.run(
        f"SELECT coalesce(sum(octet_length(key) + {_ROW_BYTES}), 0), coalesce(max(octet_length(key)), 0) {_LIVE}",
        [partition],
    )
    count = 1 + int(size) // (store.memory_bytes // _SLICES_IN_MEMORY)
    cuts: list[bytes] = []
    if count > 1:
        some = min(_SAMPLE_ROWS, max(count, store.memory_bytes // _SAMPLES_IN_MEMORY // (longest + _ROW_BYTES)))
        rows = store.run(f"SELECT key {_LIVE} USING SAMPLE reservoir({some} ROWS) REPEATABLE (1)", [partition])
        keys = sorted(key for (key,) in rows)
        cuts = sorted({keys[number * len(keys) // count] for number in range(1, count)})
    yield from zip([b"", *cuts], [*cuts, None], strict=True)
