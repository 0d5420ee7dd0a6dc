"""Records that tidemark cannot have written are named by their place."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from schemas.errors import FormatError
from schemas.key import BARRIER_KEY
from sink.part import item_of
from sink_kit import BASE, part_of, raw_key

KEY = raw_key("a")


def event(**more: Any) -> dict[str, Any]:
    return {"op": "c", "after": {"id": "a"}, "source": {"seq": BASE, "table_version": 1, "ts_ms": 1}, **more}


STRAY: dict[str, tuple[bytes | None, bytes | None, list[Any]]] = {
    "no JSON": (KEY, b"\x00\x01", []),
    "JSON that ends too soon": (KEY, orjson.dumps(event())[:-3], []),
    "no event": (KEY, b'{"hello":1}', []),
    "a list": (KEY, b"[1]", []),
    "a source that is none": (KEY, orjson.dumps(event(source=None)), []),
    "no seq": (KEY, orjson.dumps(event(source={"table_version": 1, "ts_ms": 1})), []),
    "a version that is none": (KEY, orjson.dumps(event(source={"seq": 1, "table_version": "new", "ts_ms": 1})), []),
    "no key": (None, orjson.dumps(event()), []),
    "a key that is no JSON": (b"a", orjson.dumps(event()), []),
    "a key that is a list": (b"[1]", orjson.dumps(event()), []),
    "a tombstone without seq": (KEY, None, []),
    "a tombstone whose seq is none": (KEY, None, [("seq", b"x")]),
    "a barrier without a limit": (BARRIER_KEY, orjson.dumps(event(op="t")), []),
    "a barrier with the key of a row": (KEY, orjson.dumps(event(op="t", below=1)), []),
    "another compression inside": (KEY, b"\x1f\x8b\x08\x00", []),
}


@pytest.mark.parametrize("kind", STRAY)
def test_a_record_that_is_not_ours(kind: str) -> None:
    key, value, headers = STRAY[kind]
    with pytest.raises(FormatError) as caught:
        item_of(part_of(3), 17, key, value, headers=headers)
    assert caught.value.where == "shop.shop.orders[3] at offset 17"
