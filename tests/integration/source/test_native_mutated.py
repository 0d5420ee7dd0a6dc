"""Damaged binlog bytes: an error by name, never a crash, a hang or something unnamed. No checksum is there to tell."""

from __future__ import annotations

import random

import pytest

from cdc.source.options import Limits
from cdc.source.wire import EventType
from native_replay import NativeReplay
from raw_binlog import raw_events, write_case
from schemas.errors import TidemarkError
from source_reader import SourceReader

pytestmark = pytest.mark.stack

_TYPES = [
    "bigint unsigned", "decimal(65,30)", "float", "double", "bit(9)", "char", "varchar", "enum latin2", "set of 64",
    "binary(16)", "mediumblob", "date", "datetime(3)", "timestamp(6)", "time(2)", "year", "geometry", "vector", "json",
    "varchar(300) latin1", "longtext",
]  # fmt: skip


@pytest.fixture
def engine(native: str) -> str:
    return native


def _damaged(raw: bytes, dice: random.Random) -> bytes:
    """A few bytes changed, left out or put in; the type stays."""
    found = bytearray(raw)
    for _ in range(dice.choice((1, 1, 2, 5))):
        if len(found) <= 19:
            break
        at = dice.randrange(19, len(found))
        kind = dice.randrange(5)
        if kind == 0:
            found[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            found[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFC, 0xFD, 0xFE, 0xFF))
        elif kind == 2:
            del found[at : at + dice.randrange(1, 9)]
        elif kind == 3:
            found[at:at] = dice.randbytes(dice.randrange(1, 9))
        else:
            del found[at:]
    return bytes(found)


def _replay(reader: SourceReader) -> NativeReplay:
    return NativeReplay(
        name="s",
        router=reader.router,
        known={},
        versions={},
        position=reader.start,
        limits=Limits(batch_events=100, batch_bytes=1 << 20, event_bytes=1 << 20),
        clock=lambda: 1.5,
        fold_names=lambda: False,
    )


def _fed(reader: SourceReader, events: list[bytes]) -> int:
    """How many records came out; raises what the engine raises."""
    replay = _replay(reader)
    found = sum(len(batch.records) for raw in events for batch in replay.feed(raw))
    rest = replay.take()
    return found + (len(rest.records) if rest else 0)


def _refused(reader: SourceReader, events: list[bytes]) -> bool:
    try:
        _fed(reader, events)
    except TidemarkError as error:
        return bool(str(error) and error.where) or pytest.fail(f"an error that does not say enough: {error!r}")
    return False


@pytest.mark.parametrize("rounds", [100, pytest.param(2000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("case", _TYPES)
def test_damage_is_an_error_by_name(reader: SourceReader, case: str, compressed: bool, rounds: int) -> None:
    if compressed and case not in ("json", "varchar", "geometry"):
        pytest.skip("three types are enough for what is around them")
    write_case(reader, case, partial=case == "json", compressed=compressed)
    events = list(raw_events(reader))
    assert _fed(reader, events) > 3
    dice = random.Random(f"{case} {compressed}")
    targets = [
        number for number, raw in enumerate(events) if raw[4] not in (EventType.FORMAT_DESCRIPTION, EventType.ROTATE)
    ]
    refused = 0
    for _ in range(rounds):
        target = dice.choice(targets)
        damaged = [*events[:target], _damaged(events[target], dice), *events[target + 1 :]]
        refused += _refused(reader, damaged)
    assert refused > rounds / 20
