"""A transaction of two million rows goes through flat memory, in batches that can be resumed from."""

from __future__ import annotations

import pytest

from reading_process import read_apart
from source_reader import SourceReader

pytestmark = [pytest.mark.stack, pytest.mark.timeout(280)]

_ROWS = 2_000_000
_LIMIT_MB = 200  # of the reading process, interpreter and libraries included


@pytest.fixture
def engine(native: str) -> str:
    return native


def test_two_million_rows_in_one_transaction(reader: SourceReader) -> None:
    reader.sql("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(40), b DATETIME(3))")
    reader.start = reader.here()
    thousand = "WITH RECURSIVE r(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM r WHERE n < 999) SELECT n FROM r"
    reader.sql(
        f"CREATE TEMPORARY TABLE k AS {thousand}",
        f"CREATE TEMPORARY TABLE k2 AS {thousand}",
        "BEGIN",
        "INSERT INTO t SELECT a.n * 1000 + b.n, 'a row of the usual length', NOW(3) FROM k a, k2 b",
        f"INSERT INTO t SELECT {_ROWS // 2} + a.n * 1000 + b.n, 'a row of the usual length', NOW(3) FROM k a, k2 b",
        "COMMIT",
    )
    found = read_apart(reader, reader.start, rows=_ROWS)
    assert found["rows"] == _ROWS
    assert found["open"] >= _ROWS // 20_000 - 1
    assert found["peak_mb"] < _LIMIT_MB, found
