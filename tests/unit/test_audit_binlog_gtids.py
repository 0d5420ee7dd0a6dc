"""A transaction without a GTID has not that of the one before it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pymysqlreplication.constants.BINLOG import ANONYMOUS_GTID_LOG_EVENT
from pymysqlreplication.event import GtidEvent, NotImplementedEvent
from pymysqlreplication.row_event import WriteRowsEvent

from auditor.binlog_rows import BinlogRows


def made(kind: Any, **members: Any) -> Any:
    """An event as the library gives it, without the bytes that it reads them from."""
    event = kind.__new__(kind)
    event.__dict__.update(members)
    return event


def test_a_transaction_without_a_gtid() -> None:
    packet = SimpleNamespace(log_pos=300, event_size=100)
    rows = made(WriteRowsEvent, schema="s", table="t", packet=packet, timestamp=1,
                _RowsEvent__rows=[{"values": {"id": 1}}])  # fmt: skip
    reader = BinlogRows.__new__(BinlogRows)
    reader._tables, reader._gtid, reader._rows_open = {"s.t": ["id"]}, "", False
    gtid = made(GtidEvent, sid=bytes(16), gno=7)
    anonymous = made(NotImplementedEvent, event_type=ANONYMOUS_GTID_LOG_EVENT)
    told = [
        one.transaction
        for event in (gtid, rows, anonymous, rows)
        for some in reader._event(event, "b.1")
        for one in some
    ]
    assert told == [gtid.gtid, "b.1:200"]
