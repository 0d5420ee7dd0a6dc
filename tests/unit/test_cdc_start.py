"""The events of a binlog file, as SHOW BINLOG EVENTS lists them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cdc import start
from ops.settings import CdcSettings
from schemas.errors import UsageError
from schemas.position import named_gtids

_WRAP = 1 << 32
_A, _B = "3E11FA47-71CA-11E1-9E33-C80AA9429562", "3e11fa47-71ca-11e1-9e33-c80aa9429563"


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


@pytest.mark.parametrize(
    "mistyped",
    [
        "", " ", "foo", _A, f"{_A}:", f"{_A}:1-", f"{_A}:1-5x", f"{_A}1-5", f"{_A}:1\u20135", f"{_A}:5-1", f"{_A}:0-5",
        f"{_A}:1-5O,{_B}:1-3", f"{_A}:1-5,", f"{_A}:1-5 {_B}:1-3", f"{_A}:1-9:5-1", f"{_A}:1 5",
    ],
)  # fmt: skip
def test_a_mistyped_gtid_set_is_not_read_as_a_smaller_one(mistyped: str) -> None:
    """The empty set would mean the whole binlog, published once more."""
    with pytest.raises(UsageError, match="GTID set"):
        start.checked_start(f"gtid:{mistyped}")
    with pytest.raises(ValueError, match="GTID set"):
        CdcSettings(start=f"gtid:{mistyped}")


@pytest.mark.parametrize("text", [f"{_A}:1-5:7,\n {_B}:blue:2:red:3-4", f" {_A} : 1 - 5 : 7 , {_B}:blue:2:red:3-4"])
def test_a_gtid_set_as_servers_print_it(text: str) -> None:
    assert str(named_gtids(text)) == f"{_A.lower()}:1-5:7,{_B}:blue:2,{_B}:red:3-4"
    for place in (f"gtid:{text}", "latest", "earliest", "file:bin.000001:4"):
        assert start.checked_start(place) == place
        assert CdcSettings(start=place).start == place
