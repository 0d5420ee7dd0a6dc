"""Records are read natively as Python reads them, or not at all."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.extension import EXTENSION, MISSING
from schemas.key import BARRIER_KEY
from sink import share
from sink.share import Intake
from sink_kit import BASE, Message, part_of

pytestmark = pytest.mark.skipif(EXTENSION is None, reason=MISSING)

LANES = 3
TEXT = st.text(max_size=12) | st.sampled_from(['a"b', "a\\b", "\n", "\u2028", "\U0001f30a", "sha256:x", "", "x" * 513])
SCALAR = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False) | TEXT
JSON = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))
NAME = st.sampled_from(["id", "note", "doc", "_id", "a.b", "50%", 'q"', "größe"])
KEY = st.dictionaries(st.sampled_from(["id", "shop", 'q"']), SCALAR, min_size=1, max_size=3)
ROW = st.dictionaries(NAME, JSON, max_size=4)


def event(seq: int, after: dict[str, Any] | None, *, op: str = "u", version: int = 1) -> bytes:
    source = {"name": "shop", "ts_ms": 1000 + seq % 97, "table_version": version, "file": "bin.000001", "seq": seq}
    about = {"transaction": {"id": "x:1"}, "op": op if after is not None else "d", "ts_ms": 2, "ts_us": 2000}
    return orjson.dumps({"before": after, "after": after, "source": source, **about})


def ways(messages: list[Message]) -> tuple[Intake | None, Intake | None]:
    """Natively, and by Python."""
    found: list[Intake | None] = []
    for way in (lambda *args, **kw: share.natively(EXTENSION, *args, **kw), share.slowly):
        part = part_of(3)
        part.floor = BASE - 1
        found.append(way(part, messages, version=1, lanes=LANES))
    return found[0], found[1]


def columns(read: Intake) -> list[Any]:
    return [
        (mine.offsets, mine.seqs, mine.keys, mine.values, mine.value_sizes, mine.lines, mine.line_sizes, mine.newest_ms)
        for mine in read.shares
    ]


@given(st.lists(st.tuples(KEY, ROW | st.none(), st.booleans()), min_size=1, max_size=12))
def test_what_is_read_natively_is_what_python_reads(
    rows: list[tuple[dict[str, Any], dict[str, Any] | None, bool]],
) -> None:
    messages = [
        Message(n, orjson.dumps(key), None, [("other", b"1"), ("seq", b"%d" % (BASE + n))])
        if after is None and bare
        else Message(n, orjson.dumps(key), event(BASE + n, after))
        for n, (key, after, bare) in enumerate(rows)
    ]
    native, slow = ways(messages)
    assert slow is not None
    if native is not None:
        assert native.opened == slow.opened
        assert columns(native) == columns(slow)


@pytest.mark.parametrize(
    "key", [{"id": 7}, {"id": -7}, {"id": "Zürich"}, {"shop": 1, "id": "a b"}, {"id": (1 << 64) - 1}]
)
@pytest.mark.parametrize("after", [None, {"id": 1, "note": 'a "quoted" é', "doc": {"_a": [1.5, None, {"b.c": "\n"}]}}])
def test_what_is_usual_is_read_natively(key: dict[str, Any], after: dict[str, Any] | None) -> None:
    raw = orjson.dumps(key)
    messages = [Message(n, raw, event(BASE + n, after)) for n in (0, 1, 3)]
    messages.insert(2, Message(2, raw, None, [("seq", b"%d" % (BASE + 2))]))
    native, slow = ways(messages)
    assert native is not None
    assert slow is not None
    assert (native.opened, columns(native)) == (slow.opened, columns(slow))
    assert sum(size > 0 for mine in native.shares for size in mine.line_sizes) == 1


USUAL = event(BASE, {"id": 1, "note": "text \\ é", "n": [12, -1.5e3, True, None]})


@given(st.integers(0, len(USUAL)), st.integers(0, 9), st.binary(max_size=3))
def test_no_damaged_event_is_read_otherwise(at: int, gone: int, put: bytes) -> None:
    native, slow = ways([Message(0, b'{"id":1}', USUAL[:at] + put + USUAL[at + gone :])])
    if native is not None:
        assert slow is not None
        assert native.opened == slow.opened
        for mine, theirs in zip(native.shares, slow.shares, strict=True):
            assert list(map(orjson.loads, mine.lines.splitlines())) == list(
                map(orjson.loads, theirs.lines.splitlines())
            )


@given(st.integers(0, 25), st.integers(0, 9), st.binary(max_size=3))
def test_no_damaged_key_is_read_otherwise(at: int, gone: int, put: bytes) -> None:
    key = b'{"shop":12,"id":"a text"}'
    native, slow = ways([Message(0, key[:at] + put + key[at + gone :], USUAL)])
    if native is not None:
        assert slow is not None
        assert columns(native) == columns(slow)


ROW_KEY = b'{"id":1}'


@pytest.mark.parametrize(
    "odd",
    [
        Message(1, BARRIER_KEY, orjson.dumps({"op": "t", "source": {"seq": BASE + 1}, "below": BASE})),
        Message(1, ROW_KEY, event(BASE + 1, {"id": 1}, version=2)),
        Message(1, ROW_KEY, event(BASE - 1, {"id": 1})),
        Message(1, ROW_KEY, None, [("seq", b"%d" % (BASE - 1))]),
        Message(1, ROW_KEY, None, []),
        Message(1, ROW_KEY, None),
        Message(1, ROW_KEY, None, [("seq", b"x")]),
        Message(1, None, event(BASE + 1, {"id": 1})),
        Message(1, ROW_KEY, b"{}"),
        Message(1, ROW_KEY, b""),
    ],
)
def test_what_needs_a_closer_look_is_left_to_it(odd: Message) -> None:
    assert ways([Message(0, ROW_KEY, event(BASE, {"id": 1}))])[0] is not None
    assert ways([Message(0, ROW_KEY, event(BASE, {"id": 1})), odd]) == (None, None)
