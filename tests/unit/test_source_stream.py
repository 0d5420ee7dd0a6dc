"""Reading ahead, bounded in bytes, and what the server's refusals mean."""

from __future__ import annotations

import threading

import pymysql
import pytest

from cdc.source.dump_errors import translate
from cdc.source.stream import PacketQueue
from runner import until
from schemas.errors import (
    DuplicateReaderError,
    PositionLostError,
    PositionPurgedError,
    PreflightError,
    RefusedError,
    TidemarkError,
    UnreachableError,
)
from schemas.position import Position

_HERE = Position(gtid_set="", file="bin.000007", pos=42, server_uuid="", seq=0)


def test_the_writer_waits_for_room() -> None:
    queue = PacketQueue(limit_bytes=10)
    written: list[int] = []

    def write() -> None:
        for number in range(5):
            queue.put(bytes(8))
            written.append(number)

    thread = threading.Thread(target=write)
    thread.start()
    until(lambda: len(written) == 2, "what there is room for")
    thread.join(0.3)
    assert len(written) == 2  # the bound is passed by one packet at most
    assert [len(queue.get(60) or b"") for _ in range(5)] == [8] * 5
    thread.join(60)
    assert not thread.is_alive()


def test_an_error_comes_after_the_packets_before_it() -> None:
    queue = PacketQueue()
    queue.put(b"x")
    queue.fail(UnreachableError("gone"))
    assert queue.get(0) == b"x"
    with pytest.raises(UnreachableError):
        queue.get(0)


def test_closing_frees_both_sides() -> None:
    queue = PacketQueue(limit_bytes=1)
    queue.put(b"xx")
    outcome: list[bool] = []
    thread = threading.Thread(target=lambda: outcome.append(queue.put(b"y")))
    thread.start()
    queue.close()
    thread.join(60)
    assert outcome == [False]
    assert queue.get(0) == b"xx"


@pytest.mark.parametrize(
    ("number", "text", "expected"),
    [
        (1236, "Cannot replicate because the source purged required binary logs. Replicate", PositionPurgedError),
        (1236, "Could not find first log file name in binary log index file", PositionPurgedError),
        (1236, "could not find next log; the first event 'bin.000001' at 4", PositionPurgedError),
        (1236, "Client requested source to start replication from position > file size", PositionLostError),
        (1236, "log event entry exceeded max_allowed_packet; Increase max_allowed_packet", PositionLostError),
        (1236, "A replica with the same server_uuid/server_id as this replica has connected", DuplicateReaderError),
        (1227, "Access denied; you need (at least one of) the REPLICATION SLAVE privilege(s)", PreflightError),
        (1045, "Access denied for user", RefusedError),
        (2013, "Lost connection to MySQL server during query", UnreachableError),
        (1053, "Server shutdown in progress", UnreachableError),
    ],
)
def test_refusals(number: int, text: str, expected: type[TidemarkError]) -> None:
    found = translate(pymysql.err.OperationalError(number, text), _HERE)
    assert type(found) is expected
    assert text in str(found)
    if expected in (PositionPurgedError, PositionLostError):
        assert "bin.000007:42" in found.where
    assert ("no event begins" in found.hint) == ("max_allowed_packet" in text)
