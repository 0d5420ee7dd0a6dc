"""Both engines on events made by hand: no error and no statement shows a protected value."""

from __future__ import annotations

import itertools
import traceback
from typing import Any

import orjson
import pytest

from binlog_events import SERVER, Binlog
from cdc.source import rows
from cdc.source.decoder import Decoder
from cdc.source.hash_key import HashKey
from cdc.source.native import MISSING
from cdc.source.options import Limits
from cdc.source.protection import Policy, Protections, TablePolicies
from cdc.source.seam import DdlKind
from cdc.source.wire import EventType
from native_replay import NativeReplay
from schemas.errors import ProtectionError, StatementFormatError, TidemarkError, UndecodableError
from schemas.position import Position

START = Position(gtid_set=f"{SERVER}:1-4", file="bin.000001", pos=4, server_uuid=str(SERVER), seq=1024)


class _Router:
    def wants(self, db: str, table: str) -> bool:
        return db == "d"

    def captures(self, db: str, table: str) -> bool:
        return db == "d"

    def topic(self, db: str, table: str) -> str:
        return f"s.{db}.{table}"

    def partitions(self, _topic: str) -> int:
        return 1


@pytest.fixture(params=["portable", "native"])
def make(request: pytest.FixtureRequest) -> type[Any]:
    if request.param == "native" and MISSING:
        pytest.skip(f"the native engine is not installed: {MISSING}")
    return Decoder if request.param == "portable" else NativeReplay


def decoder(
    make: type[Any], secret: bytes | None = b"s" * 32, optional: frozenset[str] = frozenset(), **columns: str
) -> Any:
    section = TablePolicies(columns={column: Policy(policy) for column, policy in columns.items()}, optional=optional)
    return make(
        name="s",
        router=_Router(),
        known={},
        versions={},
        position=START,
        limits=Limits(batch_events=1000, batch_bytes=1 << 20, event_bytes=1 << 20),
        clock=lambda: 1.5,
        fold_names=lambda: False,
        protections=Protections({"d.t": section}, HashKey(secret) if secret else None),
    )


def stopped(reading: Any, events: list[bytes], kind: type[TidemarkError]) -> str:
    """All that an error says, its traceback included."""
    with pytest.raises(kind) as caught:
        list(itertools.chain.from_iterable(map(reading.feed, events)))
    error = caught.value
    return "".join(traceback.format_exception(error)) + error.hint + error.where


def test_a_row_that_cannot_be_decoded_is_not_quoted(make: type[Any]) -> None:
    log = Binlog()
    broken = log.rows(EventType.WRITE_ROWS, 9, b"\0\1\0\0\0\x39\x05", width=2)
    said = stopped(
        decoder(make, a="mask"), [*log.start(), log.gtid(5), log.query("BEGIN"), log.table_map(), broken],
        UndecodableError,
    )  # fmt: skip
    assert "what exactly is not shown" in said
    assert "bytes" not in said.split("UndecodableError:")[-1].replace("what exactly is not shown", "")


@pytest.mark.parametrize("error", [ValueError("canary"), IndexError("canary"), UndecodableError("canary")])
def test_of_an_error_its_kind_and_the_column_are_told(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    log = Binlog()
    said = stopped(broken_reading(monkeypatch, error), [*log.start(), *log.transaction(5, (1, 77))], UndecodableError)
    assert f"column id of a row of a table with protected columns ({type(error).__name__})" in said
    assert "canary" not in said


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("not the data's fault")])
def test_what_is_not_damage_is_not_called_so(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    log = Binlog()
    reading = broken_reading(monkeypatch, error)
    with pytest.raises(type(error)):
        list(itertools.chain.from_iterable(map(reading.feed, [*log.start(), *log.transaction(5, (1, 77))])))


def broken_reading(monkeypatch: pytest.MonkeyPatch, error: Exception) -> Decoder:
    def read(_body: bytes, _at: int) -> tuple[Any, int]:
        raise error

    monkeypatch.setattr(rows, "_reader", lambda _wire, _report: read)
    return decoder(Decoder, a="mask")


@pytest.mark.parametrize("text", ["UPDATE t SET a = 'canary'", "INSERT INTO t VALUES (1, 'canary') /* canary */"])
def test_a_change_as_a_statement_is_named_without_its_values(make: type[Any], text: str) -> None:
    log = Binlog()
    reading = decoder(make, a="exclude")
    said = stopped(reading, [*log.start(), log.gtid(5), log.query("BEGIN"), log.query(text)], StatementFormatError)
    assert "canary" not in said
    assert text.split(maxsplit=1)[0] in said


def test_a_statement_in_a_batch_has_no_values(make: type[Any]) -> None:
    log = Binlog()
    reading = decoder(make, a="exclude")
    batches = [
        batch
        for raw in [*log.start(), log.gtid(5), log.query("ALTER TABLE t ALTER a SET DEFAULT 'canary'")]
        for batch in reading.feed(raw)
    ]
    assert [batch.ddl.statement for batch in batches] == ["ALTER TABLE t ALTER a SET DEFAULT ?"]


@pytest.mark.parametrize(
    ("text", "kind", "moved", "shown"),
    [
        ("RENAME TABLE t TO x.t /* \ufffd */", DdlKind.OTHER, ("d.t",), "RENAME …"),
        ("ALTER TABLE t RENAME TO x.t /* \ufffd */", DdlKind.OTHER, ("d.t",), "ALTER …"),
        ("ALTER TABLE t COMMENT ' RENAME '", DdlKind.OTHER, (), "ALTER TABLE t COMMENT ?"),
        ("/* \ufffd */ TRUNCATE TABLE t", DdlKind.EMPTIED, (), " …"),
        ("/* TRUNCATE */ DROP TABLE t /* \ufffd */", DdlKind.DROPPED, (), " …"),
    ],
)
def test_what_a_statement_did_is_told_from_all_of_it(
    make: type[Any], text: str, kind: DdlKind, moved: tuple[str, ...], shown: str
) -> None:
    log = Binlog()
    reading = decoder(make, a="exclude")
    batches = [batch for raw in [*log.start(), log.gtid(5), log.query(text)] for batch in reading.feed(raw)]
    assert [(b.ddl.kind, b.ddl.moved, b.ddl.statement) for b in batches] == [(kind, moved, shown)]


def test_a_renaming_is_refused_where_it_stands(make: type[Any]) -> None:
    log = Binlog()
    said = stopped(
        decoder(make, a="exclude"),
        [*log.start(), log.gtid(5), log.query("ALTER TABLE t RENAME COLUMN a TO b, ALTER c SET DEFAULT 'canary'")],
        ProtectionError,
    )
    assert "column a of d.t" in said
    assert "bin.000001" in said
    assert "canary" not in said


def test_a_hash_without_a_key_is_refused(make: type[Any]) -> None:
    log = Binlog()
    events = [*log.start(), *log.transaction(5, (1, 77))]
    assert "no key" in stopped(decoder(make, secret=None, a="hash"), events, UndecodableError)


@pytest.mark.parametrize("optional", [frozenset(), frozenset("A"), frozenset("a")])
def test_values_of_every_policy_however_the_name_is_spelled(make: type[Any], optional: frozenset[str]) -> None:
    log = Binlog()
    for policy, expected in (("exclude", {"id": 1}), ("mask", {"id": 1, "a": "***"})):
        reading = decoder(make, A=policy, optional=optional)
        for raw in [*log.start(), *log.transaction(5, (1, 77))]:
            assert list(reading.feed(raw)) == []
        (record,) = reading.take().records
        assert orjson.loads(record.value)["after"] == expected
