"""A network that cuts, stalls, slices and damages what the server sends: nothing wrong comes out, and nothing twice."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from fault_proxy import FaultProxy
from runner import until
from schemas.errors import TidemarkError, UndecodableError, UnreachableError
from source_reader import Seen, SourceReader, closing_in_time, reached

pytestmark = pytest.mark.stack

_HEAD = 4  # of a packet: its length and its number
_POS_AT = _HEAD + 1 + 13  # OK, and what comes before it in the header
_FILE_NAME_AT = _HEAD + 1 + 19 + 8  # in the first event: OK, header, position


@pytest.fixture
def proxy(mysql: Any) -> Iterator[FaultProxy]:
    with FaultProxy(mysql.port, host=mysql.host) as found:
        yield found


@pytest.fixture
def filled(reader: SourceReader) -> SourceReader:
    """Transactions of one and of many rows events, and a table that is not captured."""
    reader.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(40))",
        "CREATE TABLE other (id INT PRIMARY KEY, a VARCHAR(1000))",
    )
    reader.router.only = frozenset({"t"})
    reader.start = reader.here()
    for first in (0, 40, 80):
        values = [
            ",".join(f"({first + n}, 'row {first + n} needle')" for n in range(k, k + 10)) for k in (0, 10, 20, 30)
        ]
        inserts = [f"INSERT INTO t VALUES {rows}" for rows in values]
        reader.sql("BEGIN", *inserts, f"INSERT INTO other VALUES ({first}, 'x')", "COMMIT")
    reader.sql("UPDATE t SET id = id + 1000 WHERE id % 10 = 0", "DELETE FROM t WHERE id % 7 = 0")
    return reader


def through(reader: SourceReader, proxy: FaultProxy, **overrides: Any) -> dict[str, Any]:
    """Arguments of `read` that lead through the proxy; equal input gives equal output."""
    who = {"user": reader.mysql.user, "password": reader.mysql.password}
    connect = {"host": "127.0.0.1", "port": proxy.port, "ssl_disabled": True, **who}
    return {"connect": connect, "clock": lambda: 1_700_000_000.0, "max_batch_events": 7, "linger_s": 0.0, **overrides}


class Plain(NamedTuple):
    key: bytes
    value: bytes | None


def records(seen: Seen) -> list[Plain]:
    return [Plain(record.key, record.value) for record in seen.records]


def until_it_breaks(reader: SourceReader, seen: Seen, **overrides: Any) -> TidemarkError | None:
    """Read on from the latest batch in `seen`; the error, or None at the end of the binlog."""
    position = seen.position if seen.batches else reader.start
    end = reader.here()
    source = reader.source(**overrides)
    try:
        with closing_in_time(source):
            for batch in source.batches(position):
                seen.batches.append(batch)
                if reached(batch.position, end, by_file=False):
                    return None
    except TidemarkError as error:
        return error
    raise TimeoutError("the source did not get to the end of the binlog in time")


@pytest.mark.parametrize("cut", ["end", "reset", "stall"])
def test_cut_anywhere_and_resumed(filled: SourceReader, proxy: FaultProxy, cut: Any) -> None:
    wanted = records(filled.read(**through(filled, proxy)))
    whole, draw = proxy.down.passed_bytes, random.Random(5)
    proxy.cut, seen, errors = cut, Seen(), []
    patient = {"read_timeout_s": 0.4} if cut == "stall" else {}
    for _ in range(8 if cut == "stall" else 25):
        proxy.stall(stalled=False)
        until(lambda: not proxy.live, "the end of the connection before")
        proxy.down.cut_in = draw.randrange(1, whole)
        errors.append(until_it_breaks(filled, seen, **through(filled, proxy, **patient)))
        if errors[-1] is None:
            break
    proxy.stall(stalled=False)
    proxy.down.cut_in = 1 << 62
    assert until_it_breaks(filled, seen, **through(filled, proxy)) is None
    assert {type(error) for error in errors} - {type(None)} == {UnreachableError}
    assert records(seen) == wanted


def test_slices_of_a_few_bytes(filled: SourceReader, proxy: FaultProxy) -> None:
    wanted = records(filled.read(**through(filled, proxy)))
    for size in (1, 5):
        proxy.down.slice_bytes = proxy.up.slice_bytes = size
        assert records(filled.read(**through(filled, proxy))) == wanted


@pytest.mark.parametrize("direction", ["down", "both"])
def test_a_silent_server_is_told_in_time(filled: SourceReader, proxy: FaultProxy, direction: str) -> None:
    source = filled.source(**through(filled, proxy, read_timeout_s=2.0))
    with closing_in_time(source):
        batches = source.batches(filled.start)
        while not reached(next(batches).position, filled.here(), by_file=False):
            pass
        proxy.up.stalled = direction == "both"
        proxy.down.stalled = True
        began = time.monotonic()
        with pytest.raises(UnreachableError):
            list(batches)
    assert 1.9 < time.monotonic() - began < 30


def test_a_silent_server_while_connecting(filled: SourceReader, proxy: FaultProxy) -> None:
    proxy.stall()
    arguments = through(filled, proxy, read_timeout_s=0.5)
    arguments["connect"]["connect_timeout"] = 1
    with pytest.raises(UnreachableError):
        filled.read(**arguments)


def test_a_latency_is_only_a_lag(filled: SourceReader, proxy: FaultProxy) -> None:
    wanted = records(filled.read(**through(filled, proxy)))
    proxy.down.latency_s = proxy.up.latency_s = 0.1
    seen = Seen()
    assert until_it_breaks(filled, seen, **through(filled, proxy)) is None
    assert records(seen) == wanted


def test_a_byte_of_a_row_is_damaged(filled: SourceReader, proxy: FaultProxy) -> None:
    wanted = records(filled.read(**through(filled, proxy)))
    proxy.down.flip_text = b"row 45 needle"
    seen = Seen()
    error = until_it_breaks(filled, seen, **through(filled, proxy))
    assert isinstance(error, UndecodableError)
    assert "checksum" in str(error)
    assert "mysqlbinlog" in error.hint
    assert filled.start.file in error.where
    assert not any(b"row 45" in (record.value or b"") for record in records(seen))
    assert until_it_breaks(filled, seen, **through(filled, proxy)) is None  # and what came before counts
    assert records(seen) == wanted


class Dump(NamedTuple):
    """Where a dump begins and ends, and its packets, in bytes from the connection's beginning."""

    begin: int
    heads: tuple[int, ...]
    end: int


def recorded(reader: SourceReader, proxy: FaultProxy) -> Dump:
    end = reader.here().pos
    until(lambda: not proxy.live, "the end of the connection before")
    proxy.down.kept = bytearray()
    reader.read(**through(reader, proxy, heartbeat_s=20))
    kept, proxy.down.kept = bytes(proxy.down.kept), None
    at = begin = kept.index(b"bin.0") - _FILE_NAME_AT
    heads, pos = [], 0
    while pos != end:
        heads.append(at)
        pos = int.from_bytes(kept[at + _POS_AT : at + _POS_AT + 4], "little")
        at += _HEAD + int.from_bytes(kept[at : at + 3], "little")
    return Dump(begin, tuple(heads), at)


def damage(reader: SourceReader, proxy: FaultProxy, wanted: list[Plain], dump: Dump, at: int) -> None:
    """Read with one byte turned: what comes out is what should, as far as it comes, and an event's damage stops it."""
    seen = Seen()
    until(lambda: not proxy.live, "the end of the connection before")
    proxy.down.flip_in = at
    error = until_it_breaks(reader, seen, **through(reader, proxy, heartbeat_s=20))
    found, proxy.down.flip_in = records(seen), 1 << 62
    assert found == wanted[: len(found)], at
    if error is None:
        assert found == wanted, at
        assert seen.position.file in {name for name, *_ in reader.sql("SHOW BINARY LOGS")}
    in_head = min(at - head for head in dump.heads if head <= at)
    if in_head > _HEAD or in_head < 3:  # neither the packet's number nor its OK, which hold nothing of the event
        assert isinstance(error, UndecodableError), (at, in_head, error)


def test_a_byte_anywhere_in_the_dump_is_damaged(filled: SourceReader, proxy: FaultProxy) -> None:
    wanted = records(filled.read(**through(filled, proxy)))
    dump = recorded(filled, proxy)
    for at in random.Random(3).sample(range(dump.begin, dump.end), 25):
        damage(filled, proxy, wanted, dump, at)


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_every_byte_of_the_dump_is_damaged(filled: SourceReader, proxy: FaultProxy) -> None:
    wanted = records(filled.read(**through(filled, proxy)))
    dump = recorded(filled, proxy)
    for at in range(dump.begin, dump.end):
        damage(filled, proxy, wanted, dump, at)


def test_a_damaged_length_stops_at_once(filled: SourceReader, proxy: FaultProxy) -> None:
    wanted = records(filled.read(**through(filled, proxy)))
    dump = recorded(filled, proxy)
    draw = random.Random(4)
    for head in draw.sample(dump.heads, 12):
        damage(filled, proxy, wanted, dump, head + draw.randrange(3))


def test_a_long_transaction_shows_signs_of_life(filled: SourceReader, proxy: FaultProxy) -> None:
    """Rows that are passed over give no events, and yet batches, from each of which a reader may resume."""
    values = ",".join(f"({n}, '{'x' * 1000}')" for n in range(1000, 1500))
    filled.start = filled.here()
    filled.sql(
        "BEGIN", f"INSERT INTO other VALUES {values}", "INSERT INTO t VALUES (5000, 'a'), (5001, 'b')", "COMMIT",
    )  # fmt: skip
    proxy.down.latency_s = 0.5
    seen = Seen()
    assert until_it_breaks(filled, seen, **through(filled, proxy, max_batch_events=5000)) is None
    wanted = records(seen)
    assert [key for key, _ in wanted] == [b'{"id":5000}', b'{"id":5001}']
    opened = [batch for batch in seen.batches if batch.position.open is not None]
    assert any(not batch.records for batch in opened)
    proxy.down.latency_s = 0
    for number, batch in enumerate(seen.batches):
        rest = Seen(batches=[batch])
        assert until_it_breaks(filled, rest, **through(filled, proxy, max_batch_events=5000)) is None
        before = records(Seen(batches=seen.batches[:number]))
        assert before + records(rest) == wanted
