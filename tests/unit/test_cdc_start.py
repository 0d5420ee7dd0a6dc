"""The events of a binlog file, as SHOW BINLOG EVENTS lists them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cdc import start

_WRAP = 1 << 32


def test_a_file_of_more_than_4_gib_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server tells where an event ends as the event itself does: modulo 2^32."""
    size, count = 1_000_000_000, 5

    def show(_: object, sql: str, __: object) -> list[tuple[Any, ...]]:
        found = re.search(r"FROM (\d+) LIMIT 2", sql)
        assert found is not None
        first = (int(found[1]) - 4) // size
        starts = [4 + size * number for number in range(first, min(first + 2, count))]
        return [("bin.1", at, b"Xid", 1, (at + size) % _WRAP, b"") for at in starts]

    monkeypatch.setattr(start, "query_bytes", show)
    monkeypatch.setattr(start, "_PAGE", 2)
    connection: Any = None
    places = [at for at, *_ in start._binlog_events(connection, "bin.1")]
    assert places == [4 + size * number for number in range(count + 1)]
    assert places[-1] > _WRAP
