"""Records to columns: whatever is read the fast way says what the whole record says."""

from __future__ import annotations

import gc
import random
from array import array
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import skim
from auditor.columns import Columns
from auditor.decode import operation
from auditor.expected import Expected
from auditor.pace import Pace
from auditor.skim import Skim, glance
from auditor.store import Store
from auditor.topic import Topic
from schemas.errors import FormatError
from schemas.extension import MISSING
from schemas.key import BARRIER_KEY, kafka_key
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


@pytest.fixture(scope="module", params=["native", "python"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both ways to columns."""
    if request.param == "native" and MISSING:
        pytest.skip(f"records are read by Python: {MISSING}")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.setattr(skim, "_SKIM", None)
        yield request.param


def rows_of(found: Columns) -> list[tuple[Any, ...]]:
    """Rows, packed or not, in an order of their own."""
    rows = list(zip(*found.table, strict=True))
    for some in found.packed:
        ends, texts, *numbers = some.buffers
        keys = [texts[start:end] for start, end in pairwise(array("i", ends))]
        rows += zip(keys, *map(array, "iqqBqi", numbers), strict=True)
    assert all(len(some.buffers[5]) == some.rows for some in found.packed)
    return sorted(rows)


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
    source = {
        "version": "1",
        "ts_ms": draw(st.integers(0, 2**45)),
        "table": draw(names),
        "table_version": 1,
        "seq": seq,
    }
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
    if draw(st.booleans()):
        event["ts_us"] = 5000
    return Record(key, orjson.dumps(event), at)


@given(some=st.lists(records(), max_size=12))
def test_columns_say_what_the_whole_records_say(way: str, some: list[Any]) -> None:
    del way
    found = Skim().columns(some)
    wanted = Columns.of(operation(record, PLAIN) for record in some)
    assert rows_of(found) == rows_of(wanted)
    assert found.barriers == wanted.barriers


def event(**changes: Any) -> bytes:
    source = {"version": "1", "ts_ms": 7, "seq": 9}
    return orjson.dumps({"before": None, "after": {"a": 1}, "source": source, "op": "c", **changes})


def written(number: int, op: str = "c", **row: Any) -> Record:
    """As cdc writes it."""
    source = {"version": "1", "connector": "mysql", "ts_ms": 7, "table_version": 1, "pos": 4, "seq": 1024 + number}
    event = {"before": None, "after": None if op == "d" else {"id": number, **row}, "source": source,
             "transaction": None, "op": op, "ts_ms": 8, "ts_us": 8000}  # fmt: skip
    return Record(kafka_key({"id": number}), orjson.dumps(event), number)


_ODD_KEYS: list[dict[str, Any]] = [
    {"id": -(2**63)}, {"id": 2**64 - 1}, {"id": ""}, {"id": 'a"b'}, {"id": "\\"}, {"id": "\x7f\uffff\U0001f600"},
    {"id": "\U0010fffe", "b": 1}, {'i"d': "x", "b": 0}, {"id": None}, {"id": True}, {"id": 1.5}, {"id": " 1 "},
    {"id": "x" * 3000}, {"a": "x", "b": "y" * 3000, "c": -1}, {"id": "sha256:1"}, {"id": [1]}, {},
]  # fmt: skip


def _several() -> list[Record]:
    """Of every kind."""
    plain = [written(number, op, name='Zürich "x"', deep={"seq": 1, "op": ["d", None, 0.5]}) for number, op in
             enumerate("cudrc")]  # fmt: skip
    odd = [written(number)._replace(k=kafka_key(key)) for number, key in enumerate(_ODD_KEYS)]
    tombstone = Record(b'{"id":3}', None, 9, [("seq", b"1027")])
    source = {"version": "1", "ts_ms": 7, "table_version": 1, "seq": 9}
    return [*plain, *odd, tombstone, Record(BARRIER_KEY, orjson.dumps({"op": "t", "source": source, "below": 9}), 10)]


def _mutated(rng: random.Random, text: bytes) -> bytes:
    at = rng.randrange(len(text))
    some = rng.choice([b"", b'"', b"\\", b"{", b"}", b",", b":", b"0", b"-", b"e", b"\xff", b"\x00", b" ", b"null",
                       b'"seq":1,', b'"s\\u0065q":1,', b"\\ud800", b"9" * 30, rng.randbytes(1)])  # fmt: skip
    return text[:at] + some + text[at + rng.randrange(3) :]


def _told(read: Any, record: Record) -> Any:
    """Rows and barriers, or the error's kind."""
    try:
        found = read(record)
    except (FormatError, KeyError, TypeError) as error:
        return type(error)
    return rows_of(found), found.barriers


def test_both_ways_agree_about_every_kind_of_record(way: str) -> None:
    some: list[Any] = _several()
    found = Skim().columns(some)
    wanted = Columns.of(operation(record, PLAIN) for record in some)
    assert (rows_of(found), found.barriers) == (rows_of(wanted), wanted.barriers)
    assert sum(part.rows for part in found.packed) == (14 if way == "native" else 0), "the others are odd"


def test_both_ways_agree_about_records_that_were_damaged(way: str) -> None:
    rng, some = random.Random(way), _several()
    packed = 0
    for _ in range(3000):
        record = rng.choice(some)
        if rng.random() < 0.3:
            record = record._replace(k=_mutated(rng, record.k or b""))
        elif record.v is not None:
            record = record._replace(v=_mutated(rng, record.v))
        native: list[Any] = [record]
        told = _told(lambda record: Skim().columns([record]), record)
        assert told == _told(lambda record: Columns.of([operation(record, PLAIN)]), record), record
        if isinstance(told, tuple):
            packed += sum(part.rows for part in Skim().columns(native).packed)
    assert (packed > 100) == (way == "native")


def test_a_batch_becomes_columns_while_the_next_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    topic = Topic.__new__(Topic)
    topic.events, topic.shape = 0, PLAIN
    batches = [[written(1)], [written(2), written(3)]]
    monkeypatch.setattr(Topic, "messages", lambda *_: iter(batches))
    thresholds = gc.get_threshold()
    found = [[row[0] for row in rows_of(columns)] for columns in topic.columns([])]
    assert (found, topic.events) == ([[b"1"], [b"2", b"3"]], 3)
    batches.insert(1, [Record(b'{"id":1}', b"{}")])
    with pytest.raises(FormatError):
        list(topic.columns([]))
    assert gc.get_threshold() == thresholds


def test_packed_rows_are_stored_like_others(way: str) -> None:
    some: list[Any] = _several()
    with Store(32 << 20) as store:
        expected = Expected(store, [2])
        for start in range(0, len(some), 4):
            expected.add(Skim().columns(some[start : start + 4]))
        assert expected.last_read() == {2: max(record.at for record in some)}
        stored = store.run('SELECT key, partition, "offset", seq, op, ts_ms, fp FROM ops')
    assert sorted(stored) == rows_of(Columns.of(operation(record, PLAIN) for record in some))
    del way


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


def test_what_tidemark_cannot_have_written_stops_the_audit(way: str) -> None:
    del way
    broken: list[Any] = [Record(b'{"id":1}', b"{}"), Record(None, event()), Record(b'{"id":1}', None)]
    for record in broken:
        with pytest.raises(FormatError):
            Skim().columns([record])


def test_other_records_than_ours_are_read_by_their_reader(way: str) -> None:
    del way
    foreign = Shape(Rules(), reader=lambda *_: Read(Kind.UPSERT, "theirs", 5, {"op": "c", "source": {"ts_ms": 1}}))
    some: list[Any] = [written(1)]
    assert [row[0] for row in rows_of(Skim(foreign).columns(some))] == [b"theirs"]
    assert [row[0] for row in rows_of(Skim().columns(some))] == [b"1"]


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
