"""The pure parts of audits against MySQL and the binlog: values, keys in SQL, what is on one side only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from auditor import against_binlog, compaction, mysql_key
from auditor.against_binlog import _cut as cut
from auditor.binlog_store import BinlogStore, Change
from auditor.differences import differences
from auditor.digest import digest
from auditor.mysql_server import Mark
from auditor.mysql_types import SqlColumn, shortest32
from auditor.run_context import Context
from auditor.store import Store
from auditor.table_audit import Subject
from ops.settings import Settings
from schemas.position import GtidSet
from schemas.table import Table
from schemas.watermark import Watermark


def column(kind: str, full: str = "", charset: str = "utf8mb4") -> SqlColumn:
    return SqlColumn(name="a`b", kind=kind, full=full or kind, charset=charset)


@pytest.mark.parametrize(
    ("kind", "expected", "found", "same"),
    [
        ("int", 1, 1, True),
        ("int", 1, "1", False),
        ("int", 1, True, False),
        ("bit", True, 1, False),
        ("int", 0, None, False),
        ("int", None, None, True),
        ("float", 3.14159, 3.14159, True),
        ("float", 3.14159, 3.1415901, True),
        ("float", 3.14159, 3.1416, False),
        ("float", 0.0, "x", False),
        ("double", 1e16, 10**16, True),
        ("double", 0.1, 0.10000001, False),
        ("json", {"a": [1, 2.0]}, {"a": [1, 2.0]}, True),
        ("json", {"a": 1}, {"a": 1.0}, False),
        ("json", {"a": 1}, {"a": True}, False),
        ("json", [10**20], [1e20], True),
        ("json", [1], [1, None], False),
        ("point", {"srid": 0, "wkt": "POINT(1 2)"}, {"srid": 0, "wkt": "POINT (1 2)"}, True),
        ("point", {"srid": 0, "wkt": "POINT(1 2)"}, {"srid": 4326, "wkt": "POINT (1 2)"}, False),
        ("point", {"srid": 0, "wkt": "POINT(1 2)"}, "POINT (1 2)", False),
        ("vector", [0.1, 2.0], [0.1, 2], True),
        ("vector", [0.1, 2.0], [0.1], False),
        ("varchar", "a", "A", False),
        ("set", ["a"], ["a"], True),
    ],
)
def test_values(kind: str, expected: Any, found: Any, same: bool) -> None:
    assert column(kind).same(expected, found) is same


def test_shortest_numbers() -> None:
    assert [shortest32(value) for value in (0.10000000149011612, 16777216.0, 1.401298464324817e-45, 0.0)] == [
        0.1, 16777216.0, 1e-45, 0.0
    ]  # fmt: skip


def test_keys_in_sql() -> None:
    columns = [column("varchar", charset="latin1"), column("int")]
    assert mysql_key.beyond(columns, ["E9", "7"]) == (
        "`a``b` >= _latin1 X'E9' AND ((`a``b` > _latin1 X'E9') OR (`a``b` = _latin1 X'E9' AND `a``b` > 7))"
    )
    assert mysql_key.equals(columns, ["'; DROP", 7]) == "`a``b` = _utf8mb4 X'273b2044524f50' AND `a``b` = 7"
    assert mysql_key.equals([column("binary")], ["/wA="]) == "`a``b` = X'ff00'"
    assert mysql_key.equals([column("datetime")], ["2026-11-21T10:00:00.25"]) == "`a``b` = '2026-11-21 10:00:00.25'"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", "1 OR 1=1"),
        ("int", "x"),
        ("binary", "?"),
        ("date", "' OR '1"),
        ("varchar", 5),
        ("float", "x"),
        ("set", 5),
    ],
)
def test_what_can_be_no_key(kind: str, value: Any) -> None:
    assert mysql_key.equals([column(kind)], [value]) is None


def test_a_key_of_other_columns() -> None:
    assert mysql_key.equals([column("int"), column("int")], [1]) is None


def test_places_are_compared_by_the_files_number() -> None:
    mark = Mark(server_uuid="", file="bin.000010", pos=100, gtid_set="")
    places = [("bin.000010", 100), ("bin.000010", 99), ("bin.000009", 500), ("bin.1000000", 4)]
    assert [mark.reached(*place) for place in places] == [True, False, False, True]


def test_contents_are_equal_or_not() -> None:
    one = {"a": 1, "b": [1.0, None], "_cdc": {"seq": 5, "rev": 0}}
    assert digest(one) == digest({"_cdc": {"rev": 9, "seq": 5}, "b": [1.0, None], "a": 1})
    for other in ({"a": 1.0}, {"a": True}, {"a": "1"}, {"b": [1, None]}, {"c": None}, {"_cdc": {"seq": 6, "rev": 0}}):
        assert digest({**one, **other}) != digest(one)
    assert digest({"a": 10**30, "b": "\ud800"}) != digest({"a": 10**30, "b": "\ud801"})
    said = differences(one, {**one, "a": 2, "_cdc": {"seq": 6, "rev": 7}})
    assert [(d.field, d.expected, d.found) for d in said] == [("a", "1", "2"), ("_cdc.seq", "5", "6")]


def logged(transaction: str, key: str, row: int = 0, op: str = "c", table: str = "s.t", ts_ms: int = 1000) -> Change:
    return Change(transaction, table, row, op, key, "bin.1", 4, ts_ms=ts_ms)


def published(transaction: str, key: str, seq: int, row: int = 0, op: str = "c", ts_ms: int = 1000) -> Change:
    return logged(transaction, key, row, op, ts_ms=ts_ms)._replace(seq=seq, partition=1, offset=seq)


def different(sides: BinlogStore, since_ms: int) -> set[tuple[str, str, str, str]]:
    made = sides.different(since_ms)
    return {(one.kind.value, one.change.transaction, one.change.key, one.change.op) for one in made}


def test_changes_on_one_side() -> None:
    with Store(64 << 20) as store:
        sides = BinlogStore(store)
        sides.add("logged", [logged("g:1", "before")])
        sides.add("logged", [logged("g:2", "a"), logged("g:2", "b"), logged("g:2", "b"), logged("g:3", "a", op="d")])
        sides.add("logged", [logged("g:2", "x", table="s.other")])
        both = [published("g:2", "a", 1), published("g:2", "b", 2), published("g:2", "b", 3)]
        # What is published before all else was never committed: no place to begin at.
        both.insert(0, published("g:0", "a", 0))
        sides.add("published", [*both, published("g:2", "a", 4), published("g:3", "a", 5), published("g:9", "a", 6)])
        assert sides.begin("s.t", 1000, at_event=True) == 4
        assert sides.logged_since("s.other", 1000) == 1
        found = different(sides, 1000)
    assert found == {
        ("duplicate", "g:2", "a", "c"), ("unpublished", "g:3", "a", "d"), ("unlogged", "g:3", "a", "c"),
        ("unlogged", "g:9", "a", "c"), ("unlogged", "g:0", "a", "c"),
    }  # fmt: skip


def test_what_was_skipped_before_the_first_event_of_the_window() -> None:
    with Store(64 << 20) as store:
        sides = BinlogStore(store)
        sides.add("logged", [logged("g:1", "a", ts_ms=1000), logged("g:2", "a", ts_ms=4000)])  # not compared any more
        sides.add("logged", [logged("g:3", "x", ts_ms=5000, table="s.other")])
        sides.add("logged", [logged("g:4", "skipped", ts_ms=6000), logged("g:5", "b", ts_ms=7000)])
        sides.add("logged", [logged("g:6", "back", ts_ms=3000), logged("g:7", "back, skipped", ts_ms=3000)])
        sides.add("published", [published("g:0", "a", 1, ts_ms=4000), published("g:5", "b", 5, ts_ms=7000)])
        sides.add("published", [published("g:6", "back", 6, ts_ms=3000)])
        assert sides.begin("s.t", 5000, at_event=False) == 4
        assert sides.begin("s.other", 5000, at_event=True) == 0
        found = different(sides, 5000)
    assert found == {("unpublished", "g:4", "skipped", "c"), ("unpublished", "g:7", "back, skipped", "c")}


def test_what_is_published_after_the_mark_is_sorted_out() -> None:
    with Store(64 << 20) as store:
        sides = BinlogStore(store)
        sides.add("logged", [logged("g:1", "a"), logged("g:2", "b")])
        sides.add("published", [published("g:1", "a", 1)])
        assert sides.first("s.t", 500) == (published("g:1", "a", 1), False)
        assert sides.first("s.t", 1500) == (None, True)
        # Its GTID was told after its place in the binlog; of the others one was committed since, and one never.
        sides.add("later", [published("g:2", "b", 2), published("g:3", "c", 3), published("g:9", "c", 4)])
        sides.sort_out(lambda transaction: transaction == "g:3")
        assert sides.begin("s.t", 1000, at_event=True) == 2
        assert different(sides, 1000) == {("unlogged", "g:9", "c", "c")}


def test_events_of_another_server_are_cut_by_their_gtids() -> None:
    mark = Mark(server_uuid="b", file="bin.000100", pos=500, gtid_set="aa-1:1-5")
    here = [published("aa-1:5", "a", 1)._replace(file="bin.000900"), published("aa-1:6", "a", 2)]
    without = [published("bin.000100:400", "a", 3)._replace(file="bin.000100", pos=400),
               published("bin.000100:500", "a", 4)._replace(file="bin.000100", pos=500)]  # fmt: skip
    settled, later = cut([*here, *without], mark, GtidSet(mark.gtid_set))
    assert ([one.seq for one in settled], [one.seq for one in later]) == ([1, 3], [2])
    settled, later = cut([*here, *without], mark, GtidSet(""))
    assert ([one.seq for one in settled], [one.seq for one in later]) == ([2, 3], [])


def test_the_window_begins_where_compaction_has_not_been(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(against_binlog, "began", lambda *_: datetime.fromtimestamp(0, UTC))
    source = {"name": "a", "host": "h", "user": "u", "password": "p"}
    audit = against_binlog.BinlogAudit(Context(settings=Settings.model_validate({"source": source})), [])
    for lag, margin in ((timedelta(days=1), timedelta(minutes=1)), (timedelta(seconds=100), timedelta(seconds=10))):
        monkeypatch.setattr(against_binlog, "untouched", lambda *_, lag=lag: lag)
        before = datetime.now(UTC)
        assert before <= audit._since(["bin.1"]) + lag - margin <= datetime.now(UTC)


def binlog_audit() -> against_binlog.BinlogAudit:
    layout = Table(db="s", name="t", columns=(), primary_key=(), version=1, topic="a.s.t")
    subject = Subject(table="s.t", topic="a.s.t", topic_id="i", alias="a.s.t", layout=layout)
    source = {"name": "a", "host": "h", "user": "u", "password": "p"}
    return against_binlog.BinlogAudit(Context(settings=Settings.model_validate({"source": source})), [subject])


def cut_by(monkeypatch: pytest.MonkeyPatch, firsts: dict[int, int], **config: str) -> against_binlog.BinlogAudit:
    """Partitions 0 and 1 have lost records, 2 has none."""
    values = {"cleanup.policy": "compact,delete", "retention.ms": "1000", "retention.bytes": "-1", **config}
    monkeypatch.setattr(compaction, "_configs", lambda _, topics: [(topic, values) for topic in topics])
    audit = binlog_audit()
    audit._note_cut("s.t", [Watermark(partition=n, low=low, high=9) for n, low in enumerate((5, 9, 0))], firsts)
    return audit


def test_what_a_topic_has_lost_by_size_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    since = datetime.fromtimestamp(2, UTC)
    both = cut_by(monkeypatch, {0: 7_100, 1: 5_000, 2: 9_000}, **{"retention.bytes": "10"})
    assert both._begins("s.t", since) == 8_000  # on the clock of MySQL
    by_hand = cut_by(monkeypatch, {0: 7_100, 1: 5_000}, **{"cleanup.policy": "compact"})
    assert by_hand._begins("s.t", since) == 8_000
    assert by_hand.since == {"s.t": datetime.fromtimestamp(8, UTC)}
    for name, audit in (("none left", cut_by(monkeypatch, {0: 7_100})), ("some", cut_by(monkeypatch, {0: 1, 1: 2}))):
        assert (name, audit._begins("s.t", since), audit.reasons, audit.since) == (name, 2_000, {}, {})  # by time


@pytest.mark.parametrize("firsts", [{0: 7_100}, {0: 7_100, 1: 60_000}])
def test_a_table_of_which_nothing_is_compared_is_not_green(
    monkeypatch: pytest.MonkeyPatch, firsts: dict[int, int]
) -> None:
    audit = cut_by(monkeypatch, firsts, **{"retention.bytes": "10"})
    begins = audit._begins("s.t", datetime.fromtimestamp(2, UTC))
    with Store(64 << 20) as store:
        sides = BinlogStore(store)
        sides.add("logged", [logged("g:1", "lost", ts_ms=6_000), logged("g:2", "a", ts_ms=7_000)])
        sides.add("published", [published("g:2", "a", 2, ts_ms=7_000)])
        audit._begin(sides, "s.t", audit._look(sides, "s.t", begins, older=True), begins)
        assert audit.keys == {"s.t": 0}
        assert different(sides, begins) == set()
    assert "lost" in audit.reasons["s.t"]
