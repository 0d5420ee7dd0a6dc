"""Records to columns: whatever is read the fast way says what the whole record says."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.columns import Columns
from auditor.decode import operation
from auditor.pace import Pace
from auditor.skim import KeyTexts, Skim, glance
from schemas.errors import FormatError
from schemas.key import BARRIER_KEY, kafka_key, key_text
from schemas.record import Kind, Read
from schemas.shape import PLAIN, Rules, Shape


class Record(NamedTuple):
    """Looks like the client's message."""

    k: bytes | None
    v: bytes | None
    at: int = 0
    h: Any = None

    def key(self) -> bytes | None:
        return self.k

    def value(self) -> bytes | None:
        return self.v

    def headers(self) -> Any:
        return self.h

    def partition(self) -> int:
        return 2

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return 1, 77


scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["source", "seq", "after", "a"]), inner)
    ),
    max_leaves=6,
)
names = st.sampled_from(["id", "source", 'so"urce', "seq", "op", "after", "é\\", ',"source":{'])
rows = st.dictionaries(names, values, min_size=1, max_size=4)
keys = st.dictionaries(
    names, st.integers(-(2**63), 2**63) | st.text(max_size=5) | st.booleans(), min_size=1, max_size=2
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    key, seq, at = kafka_key(draw(keys)), draw(st.integers(0, 2**62)), draw(st.integers(0, 2**40))
    kind = draw(st.sampled_from("cudr.t"))
    if kind == ".":
        return Record(key, None, at, [("seq", b"%d" % seq)])
    source = {"version": "1", "ts_ms": draw(st.integers(0, 2**45)), "table": draw(names), "seq": seq}
    if draw(st.booleans()):
        source["omitted"] = [draw(names)]
    if kind == "t":
        return Record(BARRIER_KEY, orjson.dumps({"op": "t", "source": source, "below": seq}), at)
    row = draw(rows) | ({"wide": "x" * 2000} if draw(st.booleans()) else {})
    event = {
        "before": None if kind == "c" else row,
        "after": None if kind == "d" else row,
        "source": source,
        "transaction": draw(st.none() | st.just({"id": "a:1", "total_order": 1})),
        "op": kind,
        "ts_ms": 5,
    }
    return Record(key, orjson.dumps(event), at)


@given(st.lists(records(), max_size=12))
def test_columns_say_what_the_whole_records_say(some: list[Any]) -> None:
    found = Skim().columns(some)
    wanted = Columns.of(operation(record, PLAIN) for record in some)
    assert sorted(zip(*found.table, strict=True)) == sorted(zip(*wanted.table, strict=True))
    assert found.barriers == wanted.barriers


def event(**changes: Any) -> bytes:
    source = {"version": "1", "ts_ms": 7, "seq": 9}
    return orjson.dumps({"before": None, "after": {"a": 1}, "source": source, "op": "c", **changes})


@pytest.mark.parametrize("pad", ["", "x" * 2000])
def test_a_row_that_looks_like_the_end_of_an_event_does_not_deceive(pad: str) -> None:
    inner = {"x": pad, "source": {"version": "1", "ts_ms": 1, "seq": 1}, "op": "d"}
    assert glance([event(after={"pad": pad, "j": inner}, before={"j": inner})]) == ([ord("c")], [9], [7])
    # Another order of members, and the row's own `source` is the last one: it is left to the parser.
    last = orjson.dumps({"source": {"ts_ms": 7, "seq": 9}, "op": "c", "after": {"j": inner}})
    assert glance([last]) in (None, ([ord("c")], [9], [7]))
    assert glance([event(after=None, before={"pad": pad})]) == ([ord("d")], [9], [7])  # as the parser has it


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[1]",
        b'{"before":' + b"x" * 2000,
        event(op="x"),
        event(source=1),
        b" ",
        b"\n",
        event() + b"\n" + event(),
    ],
)
def test_what_is_no_event_is_left_to_the_parser(value: bytes) -> None:
    assert glance([event(), value, event()]) is None


def test_events_are_told_apart_though_their_number_is_right() -> None:
    """Two in one record, and half of one in each of two."""
    first, _, second = event().partition(b',"source"')
    assert glance([event() + b"\n" + event(), b"\n"]) is None
    assert glance([first, b'"source"' + second, event() + b"\n" + event()]) is None


def test_what_tidemark_cannot_have_written_stops_the_audit() -> None:
    broken: list[Any] = [Record(b'{"id":1}', b"{}"), Record(None, event()), Record(b'{"id":1}', None)]
    for record in broken:
        with pytest.raises(FormatError):
            Skim().columns([record])


def test_other_records_than_ours_are_read_by_their_reader() -> None:
    foreign = Shape(Rules(), reader=lambda *_: Read(Kind.UPSERT, "theirs", 5, {"op": "c", "source": {"ts_ms": 1}}))
    some: list[Any] = [Record(b'{"id":1}', event())]
    assert Skim(foreign).columns(some).keys == [b"theirs"]
    assert Skim().columns(some).keys == [b"1"]


@given(st.lists(keys, max_size=6))
def test_key_texts(some: list[dict[str, Any]]) -> None:
    texts = KeyTexts()
    for columns in some:
        key = kafka_key(columns)
        assert texts.of(key) == key_text(key).encode()


def test_a_key_of_other_columns_than_the_one_before() -> None:
    texts = KeyTexts()
    some: list[dict[str, Any]] = [{"id": 1}, {"after": 23}, {"\\": -1}, {"a": 1, "b": "x"}, {"id": "y"}]
    assert [texts.of(kafka_key(columns)).decode() for columns in some] == ["1", "23", "-1", '[1,"x"]', "y"]


def test_requests_are_sized_to_half_a_second() -> None:
    pace = Pace()
    assert list(pace.cut([10**7, 5], 256)) == [(0, 2)]
    pace.took(1_000_000, 1.0)
    assert list(pace.cut([250_000] * 4, 256)) == [(0, 2), (2, 4)]
    assert list(pace.cut([10**6], 256)) == [(0, 1)]
    assert list(pace.cut([1] * 5, 2)) == [(0, 2), (2, 4), (4, 5)]
    pace.took(500_000, 0.1, busy=True)
    assert list(pace.cut([250_000] * 2, 256)) == [(0, 1), (1, 2)]
    assert list(pace.cut([], 2)) == []
