"""The quick way from records to lines of a request leads where the careful one does."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.key import BARRIER_KEY
from sink.action import Actions
from sink.part import Item, item_in
from sink.share import Intake, intake, lane_of, share_of
from sink_kit import BASE, Message, part_of, raw_key

LANES = 3


def event(offset: int, key: str, seq: int, *, op: str = "c", version: int = 1, **more: Any) -> Message:
    after = None if op == "d" else {"id": key, "note": f"{seq} é", "p.q": 1.5}
    source = {"seq": seq, "table_version": version, "ts_ms": 1000 + offset}
    value = orjson.dumps({"before": None, "after": after, "source": source, "op": op, **more})
    return Message(offset, raw_key(key), value)


def tombstone(offset: int, key: str, seq: int) -> Message:
    return Message(offset, raw_key(key), None, [("seq", str(seq).encode())])


def read(messages: list[Any], *, start: int = 0, floor: int = 0) -> Intake | None:
    part = part_of(start=start)
    part.floor = floor
    return intake(part, messages, version=1, lanes=LANES)


EVENTS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["c", "u", "d", "tombstone"])), max_size=30)


@given(EVENTS)
def test_it_reads_what_one_by_one_would(events: list[tuple[str, str]]) -> None:
    messages: list[Any] = [
        tombstone(n, key, BASE + n) if kind == "tombstone" else event(n, key, BASE + n, op=kind)
        for n, (key, kind) in enumerate(events)
    ]
    found = read(messages)
    assert found
    assert found.opened == [(n, BASE + n) for n in range(len(events))]
    part = part_of()
    items = [item_in(part, message) for message in messages]
    for number, share in enumerate(found.shares):
        mine = [item for item in items if lane_of(item.kafka_key, LANES) == number]
        assert share.offsets == [item.offset for item in mine]
        assert share.seqs == [item.seq for item in mine]
        overtaken = [any(later.key == item.key for later in mine[place + 1 :]) for place, item in enumerate(mine)]
        lines = [b"" if old else Actions(part).lines(item) for item, old in zip(mine, overtaken, strict=True)]
        assert (share.lines, share.line_sizes) == (b"".join(lines), list(map(len, lines)))
        for cut in range(len(share) + 1):
            pieces = share.cut(cut)
            read_again = [piece.item(place) for piece in pieces for place in range(len(piece))]
            assert [_plain(item) for item in read_again] == [_plain(item) for item in mine]
            assert b"".join(piece.lines for piece in pieces) == share.lines


def test_a_share_is_read_again_in_linear_time() -> None:
    """Summing up sizes for every record took five seconds for so many, a quarter of one for 4,000."""
    events: list[Any] = [event(n, f"k{n}", BASE + n) for n in range(20_000)]
    share = share_of([item_in(part_of(), message) for message in events])
    began = time.process_time()
    assert [share.item(place).seq for place in range(20_000)] == share.seqs
    assert time.process_time() - began < 2


def _plain(item: Item) -> tuple[Any, ...]:
    return item.offset, item.kind, item.key, item.seq, item.after, item.kafka_key, item.value, item.size


OTHERS = {
    "barrier": Message(1, BARRIER_KEY, orjson.dumps({"op": "t", "source": {"seq": BASE + 1}, "below": BASE})),
    "newer version": event(1, "b", BASE + 1, version=2),
    "out of place": event(1, "b", BASE - 1),
    "at the floor": tombstone(1, "b", BASE - 1),
    "no JSON": Message(1, raw_key("b"), b"{"),
    "no event": Message(1, raw_key("b"), b"{}"),
    "no key": Message(1, None, event(1, "b", BASE + 1).value()),
    "no seq": Message(1, raw_key("b"), None, []),
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_needs_a_closer_look_is_left_to_it(other: str) -> None:
    rest: list[Any] = [event(0, "a", BASE), event(2, "c", BASE + 2)]
    assert read(rest, floor=BASE - 1)
    assert read([rest[0], OTHERS[other], rest[1]], floor=BASE - 1) is None
