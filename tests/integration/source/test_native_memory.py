"""A transaction of many rows goes through flat memory, in batches that can be resumed from."""

from __future__ import annotations

import pytest

from reading_process import read_apart
from source_reader import SourceReader

pytestmark = pytest.mark.stack

_LIMIT_MB = 200  # of the reading process, interpreter and libraries included


@pytest.fixture
def engine(native: str) -> str:
    return native


@pytest.mark.parametrize("rows", [400_000, pytest.param(2_000_000, marks=pytest.mark.soak)])
def test_many_rows_in_one_transaction(reader: SourceReader, rows: int) -> None:
    reader.sql("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(40), b DATETIME(3))")
    reader.start = reader.here()
    thousand = "WITH RECURSIVE r(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM r WHERE n < 999) SELECT n FROM r"
    reader.sql(
        f"CREATE TEMPORARY TABLE k AS {thousand}",
        f"CREATE TEMPORARY TABLE k2 AS {thousand}",
        "BEGIN",
        *(
            f"INSERT INTO t SELECT {first} + a.n * 1000 + b.n, 'a row of the usual length', NOW(3)"
            f" FROM k a, k2 b WHERE a.n < {rows // 2000}"
            for first in (0, rows // 2)
        ),
        "COMMIT",
    )
    found = read_apart(reader, reader.start, rows=rows)
    assert found["rows"] == rows
    assert found["open"] >= rows // 20_000 - 1
    assert found["peak_mb"] < _LIMIT_MB, found
