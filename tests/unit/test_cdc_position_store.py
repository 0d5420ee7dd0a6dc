"""What stands in the position topic: the last record of each key counts, and one that is none stops cdc."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import orjson
import pytest

from cdc import position_store
from cdc.position_store import Instance, PositionStore
from ops.settings import Settings
from schemas.errors import FormatError
from schemas.position import OpenTransaction, Position

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
GOOD = Position(
    gtid_set=f"{UUID}:1-5:8,{UUID}:blue:1-3",
    file="bin.000001",
    pos=4,
    server_uuid=UUID,
    seq=1024,
    partitions={"s.shop.orders": 6},
    open=OpenTransaction(gtid=f"{UUID}:6", event=2, row=7),
)
RECORD = GOOD.to_json()
GARBAGE: dict[str, bytes] = {
    "nothing": b"",
    "no json": b"\xff\xfenot ours",
    "cut off": orjson.dumps(RECORD)[:-7],
    "another shape": b"[1,2]",
    "a number": b"7",
    "a newer format": orjson.dumps({**RECORD, "format": 99}),
    "no format": orjson.dumps({name: value for name, value in RECORD.items() if name != "format"}),
    "a field is missing": orjson.dumps({name: value for name, value in RECORD.items() if name != "seq"}),
    "no gtid set": orjson.dumps({**RECORD, "gtid_set": "latest"}),
    "half a gtid set": orjson.dumps({**RECORD, "gtid_set": f"{UUID}:1-"}),
    "a gtid set without numbers": orjson.dumps({**RECORD, "gtid_set": UUID}),
    "a gtid set that is none": orjson.dumps({**RECORD, "gtid_set": None}),
    "pos as text": orjson.dumps({**RECORD, "pos": "4"}),
    "seq below zero": orjson.dumps({**RECORD, "seq": -1}),
    "seq as true": orjson.dumps({**RECORD, "seq": True}),
    "an empty open transaction": orjson.dumps({**RECORD, "open": {}}),
    "partitions as a list": orjson.dumps({**RECORD, "partitions": ["s.shop.orders"]}),
    "another source's": orjson.dumps({**RECORD, "partitions": {"other.shop.orders": 6}}),
}


class _Message:
    def __init__(self, key: bytes | None, value: bytes | None) -> None:
        self._key, self._value = key, value

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value


class _Topic:
    """A topic of these records."""

    def __init__(self, *records: tuple[bytes | None, bytes | None]) -> None:
        self._records = records

    def __call__(self, *_: object) -> _Topic:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def to_end(self, **_: object) -> Iterator[_Message]:
        for key, value in self._records:
            yield _Message(key, value)


@pytest.fixture
def store() -> PositionStore:
    settings = Settings.model_validate({"source": {"name": "s"}, "kafka": {"bootstrap_servers": "127.0.0.1:1"}})
    return PositionStore(settings, Instance(id="me", label="mine"))


def put(monkeypatch: pytest.MonkeyPatch, *records: tuple[Any, Any]) -> None:
    monkeypatch.setattr(position_store, "ControlReader", _Topic(*records))


@pytest.mark.parametrize("key", [position_store.POSITION_KEY, position_store.CLAIM_KEY])
@pytest.mark.parametrize("value", GARBAGE.values(), ids=GARBAGE)
def test_garbage_stops(monkeypatch: pytest.MonkeyPatch, store: PositionStore, key: bytes, value: bytes) -> None:
    claim = (position_store.CLAIM_KEY, orjson.dumps(Instance(id="me", label="mine").to_json()))
    put(monkeypatch, (position_store.POSITION_KEY, orjson.dumps(RECORD)), claim, (key, value))
    with pytest.raises(FormatError) as caught:
        store.read()
    assert caught.value.hint
    found = store.read(over_damage=True)
    assert (found.position, found.claimant) == ((None, "me") if key == position_store.POSITION_KEY else (GOOD, ""))


def test_garbage_that_was_replaced_does_no_harm(monkeypatch: pytest.MonkeyPatch, store: PositionStore) -> None:
    put(
        monkeypatch,
        (None, b"x"),
        (b"x", None),
        (position_store.POSITION_KEY, b"x"),
        (position_store.POSITION_KEY, orjson.dumps(RECORD)),
    )
    assert store.read().position == GOOD
    put(monkeypatch, (position_store.POSITION_KEY, orjson.dumps(RECORD)), (position_store.POSITION_KEY, None))
    assert store.read().position is None
