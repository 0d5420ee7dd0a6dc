"""The core of both engines, on events made by hand: order, positions, resuming, and every reason to stop."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from binlog_events import COMMIT_US, SERVER, Binlog
from cdc.source.decoder import Decoder
from cdc.source.native import MISSING
from cdc.source.options import Limits
from cdc.source.seam import Batch, DdlKind
from cdc.source.wire import IGNORABLE_FLAG, EventType
from native_replay import NativeReplay
from schemas.errors import (
    PartialImageError,
    PositionLostError,
    StatementFormatError,
    UndecodableError,
    UnsafeError,
    UnsupportedEventError,
)
from schemas.position import OpenTransaction, Position
from schemas.table import Table

START = Position(gtid_set=f"{SERVER}:1-4", file="bin.000001", pos=4, server_uuid=str(SERVER), seq=1024)


class _Router:
    def wants(self, db: str, table: str) -> bool:
        return self.captures(db, table)

    def captures(self, db: str, table: str) -> bool:
        return db == "d" and table != "skipped"

    def topic(self, db: str, table: str) -> str:
        return f"s.{db}.{table}"

    def partitions(self, _topic: str) -> int:
        return 2


@pytest.fixture(params=["portable", "native"], autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test is one of both."""
    if request.param == "native" and MISSING:
        pytest.skip(f"the native engine is not installed: {MISSING}")
    monkeypatch.setitem(_MAKERS, "now", Decoder if request.param == "portable" else NativeReplay)
    return str(request.param)


_MAKERS: dict[str, Any] = {}


def _decoder(position: Position = START, **overrides: Any) -> Any:
    settings: dict[str, Any] = {
        "name": "s",
        "router": _Router(),
        "known": {},
        "versions": {},
        "position": position,
        "limits": Limits(batch_events=1000, batch_bytes=1 << 20, event_bytes=1 << 20),
        "clock": lambda: 1.5,
        "fold_names": lambda: False,
    }
    return _MAKERS["now"](**{**settings, **overrides})


def _read(decoder: Any, events: Iterable[bytes]) -> list[Batch]:
    batches = [batch for raw in events for batch in decoder.feed(raw)]
    rest = decoder.take()
    return [*batches, *([rest] if rest else [])]


def _values(batches: list[Batch]) -> list[Any]:
    return [record.value and orjson.loads(record.value) for batch in batches for record in batch.records]


def test_a_transaction() -> None:
    log = Binlog()
    (batch,) = _read(_decoder(), [*log.start(), *log.transaction(5, (1, 10), (2, 20))])
    first, second = _values([batch])
    assert (first["before"], first["after"]) == (None, {"id": 1, "a": 10})
    assert first["source"]["ts_us"] == COMMIT_US
    assert (first["ts_ms"], first["ts_us"]) == (1500, 1_500_000)
    assert (first["source"]["thread"], second["source"]["row"]) == (7, 1)
    assert batch.position == replace(
        START, gtid_set=f"{SERVER}:1-5", pos=log.pos, seq=1024 * 3, partitions={"s.d.t": 2}
    )
    assert (batch.rows, batch.commit_ts_ms) == (2, COMMIT_US // 1000)


@pytest.mark.parametrize("checksum", [False, True])
def test_checksums_on_and_off(checksum: bool) -> None:
    log = Binlog(checksum=checksum)
    assert len(_values(_read(_decoder(), [*log.start(), *log.transaction(5, (1, 10))]))) == 1


def test_a_flipped_bit() -> None:
    log = Binlog()
    *before, rows, _ = [*log.start(), *log.transaction(5, (1, 10))]
    broken = bytearray(rows)
    broken[-6] ^= 1
    with pytest.raises(UndecodableError, match="checksum") as caught:
        _read(_decoder(), [*before, bytes(broken)])
    assert caught.value.hint


def test_positions_past_4_gib() -> None:
    log = Binlog(pos=(1 << 32) - 60)
    decoder = _decoder(replace(START, pos=log.pos))
    (batch,) = _read(decoder, [*log.start(), *log.transaction(5, (1, 10))])
    assert batch.position.pos == log.pos > 1 << 32
    assert _values([batch])[0]["source"]["pos"] > 1 << 32


def test_a_start_past_4_gib_is_reached_from_the_beginning_of_the_file() -> None:
    log = Binlog(pos=(1 << 32) - 10)
    events = [log.fake_rotate(), log.format_description(), *log.transaction(4, (1, 10))]
    start = replace(START, gtid_set="", pos=log.pos)
    assert start.pos > 1 << 32
    events += [*log.transaction(5, (2, 20)), log.rotate("bin.000002"), log.format_description()]
    events += log.transaction(6, (3, 30))  # positions begin anew
    assert [value["after"]["id"] for value in _values(_read(_decoder(start), events))] == [2, 3]


def test_on_the_way_to_a_start_past_4_gib_there_are_signs_of_life() -> None:
    log = Binlog(pos=(1 << 32) - 10)
    before = [log.fake_rotate(), log.format_description(), *log.transaction(4, (1, 10))]
    decoder = _decoder(replace(START, gtid_set="", pos=log.pos))
    for number, raw in enumerate(before):
        assert list(decoder.feed(raw)) == []
        batch = decoder.take()
        assert number < 2 or (batch and not batch.records and batch.position.pos == log.pos)


def test_an_unknown_event_stops_unless_it_may_be_ignored() -> None:
    log = Binlog()
    assert _values(_read(_decoder(), [*log.start(), log.event(99, b"x", flags=IGNORABLE_FLAG)])) == []
    with pytest.raises(UnsupportedEventError, match="type 99") as caught:
        _read(_decoder(), [*log.start(), log.event(99, b"x")])
    assert caught.value.where.startswith("bin.000001:")


@pytest.mark.parametrize(
    "kind",
    [
        EventType.UNKNOWN, EventType.TRANSACTION_PAYLOAD, EventType.GTID_TAGGED, EventType.MARIADB_GTID,
        EventType.MARIADB_QUERY_COMPRESSED, EventType.MARIADB_WRITE_ROWS_COMPRESSED,
        EventType.MARIADB_UPDATE_ROWS_COMPRESSED, EventType.MARIADB_DELETE_ROWS_COMPRESSED,
    ],
)  # fmt: skip
def test_events_that_are_refused_by_name(kind: EventType, engine: str) -> None:
    log = Binlog()
    if engine == "native" and kind in (EventType.TRANSACTION_PAYLOAD, EventType.GTID_TAGGED):
        with pytest.raises(UndecodableError, match=kind.name):  # it reads them, but this is none
            _read(_decoder(), [*log.start(), log.event(kind, bytes(40))])
        return
    with pytest.raises(UnsupportedEventError, match=kind.name) as caught:
        _read(_decoder(), [*log.start(), log.event(kind, bytes(40))])
    assert caught.value.hint


def test_an_incident() -> None:
    log = Binlog()
    with pytest.raises(UnsafeError, match="incident"):
        _read(_decoder(), [*log.start(), log.event(EventType.INCIDENT, b"\1\0")])


@pytest.mark.parametrize("end", ["ROLLBACK", "ROLLBACK TO `s`", "rollback work"])
def test_a_rollback_after_rows(end: str) -> None:
    log = Binlog()
    events = [*log.start(), *log.transaction(5, (1, 10))[:-1], log.query(end)]
    with pytest.raises(UnsafeError, match="rolled back"):
        _read(_decoder(), events)
    others = Binlog()
    rows = [others.gtid(5), others.query("BEGIN"), others.table_map(table="skipped"), others.insert((1, 2))]
    assert _values(_read(_decoder(), [*others.start(), *rows, others.query(end), others.xid()])) == []


@pytest.mark.parametrize("follows", ["transaction", "anonymous", "BEGIN", "file", "end of file"])
def test_a_transaction_that_does_not_end(follows: str) -> None:
    log = Binlog()
    events = [*log.start(), *log.transaction(5, (1, 10))[:-1]]
    quiet = [log.gtid(6), log.query("BEGIN"), log.table_map(table="skipped"), log.insert((1, 2))]
    follow = {
        "transaction": lambda: log.gtid(7),
        "anonymous": log.anonymous,
        "BEGIN": lambda: log.query("BEGIN"),
        "file": lambda: log.format_description(flags=0),
        "end of file": lambda: log.rotate("bin.000002"),
    }[follows]()
    with pytest.raises(UnsafeError, match="does not end") as caught:
        _read(_decoder(), [*events, follow])
    assert caught.value.where.endswith(f", transaction {SERVER}:5")
    assert caught.value.hint
    others = Binlog()  # rows of no captured table: nothing of it was published
    batches = _read(_decoder(), [*others.start(), *quiet, follow, *log.transaction(8, (2, 20))])
    assert [value["after"]["id"] for value in _values(batches)] == [2]


def test_the_dump_threads_own_events_end_no_transaction() -> None:
    log = Binlog()
    *rows, xid = log.transaction(5, (1, 10))
    assert len(_values(_read(_decoder(), [*log.start(), *rows, *log.start(), xid]))) == 1


def _packed(log: Binlog) -> list[bytes]:
    inner = Binlog(checksum=False)
    payload = [
        inner.query("BEGIN"), inner.table_map(), inner.insert((1, 1), (2, 2)), inner.insert((3, 3)),
        inner.table_map(8, table="skipped"), inner.insert((1, 1), table_id=8),
        inner.table_map(), inner.update(((1, 1), (1, 5)), ((2, 2), (7, 2))), inner.xid(),
    ]  # fmt: skip
    return [*log.start(), log.gtid(5), log.payload(*payload), *log.transaction(6, (10, 10))]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_rows_of_a_payload_are_counted_through_it(size: int, engine: str) -> None:
    if engine == "portable":
        pytest.skip("it refuses compressed transactions")
    limits = Limits(batch_events=size, batch_bytes=1 << 20, event_bytes=1 << 20)
    events = _packed(Binlog())
    batches = _read(_decoder(limits=limits), events)
    sources = [value["source"] for value in _values(batches) if value]
    assert [source["row"] for source in sources] == [0, 1, 2, 3, 4, 4, 0]  # a change of the key is two events
    assert len({(source["file"], source["pos"], source["row"]) for source in sources}) == 6
    whole = [record for batch in batches for record in batch.records]
    known = {table.full_name: table for batch in batches for table in batch.tables}
    for number, batch in enumerate(batches):
        if batch.position.open and batch.position.open.gtid == f"{SERVER}:5":
            rest = _read(_decoder(batch.position, limits=limits, known=known), events)
            done = sum(len(before.records) for before in batches[: number + 1])
            assert [record for found in rest for record in found.records] == whole[done:]


def test_a_partial_image() -> None:
    log = Binlog()
    rows = log.rows(EventType.WRITE_ROWS, 9, b"\0\1\0\0\0", width=2, present=0b01)
    with pytest.raises(PartialImageError) as caught:
        _read(_decoder(), [*log.start(), log.gtid(5), log.query("BEGIN"), log.table_map(), rows])
    assert f"{SERVER}:5" in caught.value.where


@pytest.mark.parametrize("broken", [b"\0\1\0\0\0\2", b"\0\1", b"\0" * 10])
def test_a_row_that_ends_early(broken: bytes) -> None:
    log = Binlog()
    rows = log.rows(EventType.WRITE_ROWS, 9, broken, width=2)
    with pytest.raises(UndecodableError):
        _read(_decoder(), [*log.start(), log.gtid(5), log.query("BEGIN"), log.table_map(), rows])


def test_a_table_map_that_ends_early() -> None:
    log = Binlog()
    whole = log.table_map()
    with pytest.raises(UndecodableError, match="TABLE_MAP"):
        _read(_decoder(), [*log.start(), log.gtid(5), log.event(EventType.TABLE_MAP, whole[19:30])])


def test_rows_without_a_table_map() -> None:
    log = Binlog()
    with pytest.raises(UndecodableError, match="without a table map"):
        _read(_decoder(), [*log.start(), log.gtid(5), log.query("BEGIN"), log.insert((1, 2))])


def test_a_table_id_means_another_table_after_a_restart() -> None:
    log = Binlog()
    events = [*log.start(), *log.transaction(5, (1, 10)), log.rotate("bin.000002"), *log.start()]
    events += [log.gtid(6), log.query("BEGIN"), log.table_map(table="u", columns="k,b"), log.insert((3, 4)), log.xid()]
    batches = _read(_decoder(), events)
    assert [value["after"] for value in _values(batches)] == [{"id": 1, "a": 10}, {"k": 3, "b": 4}]
    assert (batches[-1].position.file, batches[-1].position.pos) == ("bin.000002", log.pos)
    late = Binlog()
    with pytest.raises(UndecodableError, match="without a table map"):
        _read(_decoder(), [*late.start(), *late.transaction(5, (1, 1))[:-1], *late.start(), late.insert((2, 2))])


def test_a_text_change() -> None:
    log = Binlog()
    events = [*log.start(), log.gtid(5), log.query("BEGIN"), log.query("UPDATE t SET a = 1")]
    with pytest.raises(StatementFormatError) as caught:
        _read(_decoder(), events)
    assert caught.value.where == f"bin.000001:{log.pos - len(events[-1])}, transaction {SERVER}:5"


def _open_transaction(log: Binlog) -> list[bytes]:
    """Rows events: two rows skipped, two captured, a key change and a change, one captured."""
    return [
        *log.start(), log.gtid(5), log.query("BEGIN"),
        log.table_map(table="skipped"), log.insert((1, 1), (2, 2)),
        log.table_map(), log.insert((1, 1), (2, 2)),
        log.table_map(), log.update(((1, 1), (7, 1)), ((2, 2), (2, 3))),
        log.table_map(), log.insert((9, 9)),
        log.xid(), *log.transaction(6, (10, 10)),
    ]  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_every_interruption_leaves_the_same_events(size: int) -> None:
    whole = [record for batch in _read(_decoder(), _open_transaction(Binlog())) for record in batch.records]
    limits = Limits(batch_events=size, batch_bytes=1 << 20, event_bytes=1 << 20)
    position, pieces, known = START, [], {}
    while position.gtid_set != f"{SERVER}:1-6":
        events = _open_transaction(Binlog())
        if position.gtid_set == f"{SERVER}:1-5":
            events = [*events[:2], *events[-5:]]
        batch = _read(_decoder(position, limits=limits, known=known), events)[0]
        pieces.extend(batch.records)
        known.update({table.full_name: table for table in batch.tables})
        position = batch.position
    assert pieces == whole


def test_an_idle_batch_before_the_open_transaction_keeps_it_open() -> None:
    opened = OpenTransaction(gtid=f"{SERVER}:5", event=2, row=1)
    decoder = _decoder(replace(START, open=opened))
    log = Binlog()
    heartbeat = log.event(EventType.HEARTBEAT, b"bin.000001")
    (batch,) = _read(decoder, [*log.start(), heartbeat])
    assert batch.position.open == opened


def test_another_transaction_than_the_open_one() -> None:
    opened = OpenTransaction(gtid=f"{SERVER}:77", event=2, row=1)
    with pytest.raises(PositionLostError, match="does not come next"):
        _read(_decoder(replace(START, open=opened)), _open_transaction(Binlog()))


def test_more_was_published_than_there_is() -> None:
    opened = OpenTransaction(gtid=f"{SERVER}:5", event=9, row=0)
    with pytest.raises(PositionLostError, match="4 rows events"):
        _read(_decoder(replace(START, open=opened)), _open_transaction(Binlog()))


def test_names_in_another_case() -> None:
    log = Binlog()
    events = [*log.start(), *log.transaction(5, (1, 10)), log.gtid(6), log.query("TRUNCATE TABLE T")]
    exact = _read(_decoder(), events)
    assert [batch.ddl and batch.ddl.kind for batch in exact] == [DdlKind.EMPTIED]
    assert len(exact[0].records) == 1
    folded = _read(_decoder(fold_names=lambda: True), events)
    assert len(folded[0].records) == 3


def test_a_version_is_not_given_out_twice_over_a_reconnect() -> None:
    versions: dict[str, int] = {}
    log = Binlog()
    (first,) = _read(_decoder(versions=versions), [*log.start(), *log.transaction(5, (1, 10))])
    other = Binlog()
    events = [other.gtid(5), other.query("BEGIN"), other.table_map(columns="id,b"), other.insert((1, 2)), other.xid()]
    (second,) = _read(_decoder(versions=versions), [*other.start(), *events])
    assert (first.tables[0].version, second.tables[0].version) == (1, 2)


def test_without_gtids_a_transaction_is_named_by_its_place() -> None:
    log = Binlog()
    start = [*log.start()]
    place = log.pos
    events = [*start, log.anonymous(), log.query("BEGIN"), log.table_map(), log.insert((1, 1)), log.xid()]
    (batch,) = _read(_decoder(replace(START, gtid_set="")), events)
    (value,) = _values([batch])
    assert value["source"]["gtid"] is None
    assert value["transaction"]["id"] == f"bin.000001:{place}"
    assert batch.position.gtid_set == ""


def test_begun_by_file_it_stays_so() -> None:
    log = Binlog()
    (batch,) = _read(_decoder(replace(START, gtid_set="")), [*log.start(), *log.transaction(5, (1, 10))])
    assert batch.position.gtid_set == ""


def test_begun_before_every_gtid_the_first_one_makes_the_set() -> None:
    def read(*events: bytes) -> str:
        decoder = _decoder(replace(START, gtid_set=""), no_gtid_before=lambda: True)
        return _read(decoder, events)[-1].position.gtid_set

    log = Binlog()
    assert read(*log.start(), *log.transaction(1, (1, 10)), *log.transaction(2, (2, 20))) == f"{SERVER}:1-2"
    log = Binlog()
    anonymous = [log.anonymous(), log.query("BEGIN"), log.table_map(), log.insert((1, 1)), log.xid()]
    assert read(*log.start(), *anonymous, *log.transaction(1, (2, 20))) == ""


def test_a_layout_that_comes_back_is_a_new_version() -> None:
    log = Binlog()
    events = [*log.start(), *log.transaction(5, (1, 10))]
    events += [log.gtid(6), log.query("BEGIN"), log.table_map(columns="id,b"), log.insert((1, 2)), log.xid()]
    events += log.transaction(7, (2, 20))
    batches = _read(_decoder(), events)
    tables: list[Table] = [table for batch in batches for table in batch.tables]
    assert [table.version for table in tables] == [1, 2, 3]
    assert [value["source"]["table_version"] for value in _values(batches)] == [1, 2, 3]
