"""Replay of dead letters against a scripted log and a scripted cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, nullcontext
from io import StringIO
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from rich.console import Console

from fake_elastic import FakeCluster
from ops.settings import Settings
from schemas.condition import Condition
from schemas.deadletter import DeadLetter
from schemas.errors import UnreachableError, UsageError
from schemas.event import SEQ_HEADER
from schemas.key import BARRIER_KEY
from schemas.shape import PLAIN, Rules, Shape
from sink import replay as replay_module
from sink.case import Case, Ending
from sink.index import Index
from sink.letter_view import show_json, show_list
from sink.letterbox import Numbered, Wanted
from sink.overtaken import looked_at, overtaken
from sink.replay_part import PartReplay
from sink.standing import Standing
from sink_kit import BASE, part_of, raw_key

INDEX = Index(alias="shop.shop.orders", name="shop.shop.orders.000001", version=1)
SETTINGS = Settings.model_validate({"source": {"name": "shop"}, "service": {"start_timeout_s": 0.5}})


class Record:
    """As the Kafka client hands it over."""

    def __init__(self, offset: int, key: bytes, value: bytes | None, seq: int) -> None:
        self._offset, self._key, self._value, self._seq = offset, key, value, seq

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> list[tuple[str, bytes]]:
        return [(SEQ_HEADER, b"%d" % self._seq)] if self._value is None else []

    def timestamp(self) -> tuple[int, int]:
        return 1, 1000


class Log:
    """One partition. Seqs are BASE + offset, so are barriers' limits; `dropped`: seqs by record keys."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.low = self.end = 0
        self.dropped: dict[bytes, int] = {}

    def _add(self, key: bytes, value: dict[str, Any] | None) -> int:
        raw = None if value is None else orjson.dumps(value)
        self.records.append(Record(self.end, key, raw, BASE + self.end))
        self.end += 1
        return self.end - 1

    def _event(self, op: str, after: Any, version: int = 1, **more: Any) -> dict[str, Any]:
        source = {"seq": BASE + self.end, "table_version": version, "ts_ms": 1}
        return {"op": op, "source": source, "after": after, **more}

    def put(self, key: str, note: str = "n", version: int = 1) -> int:
        return self._add(raw_key(key), self._event("u", {"id": key, "note": note}, version))

    def delete(self, key: str) -> int:
        return self._add(raw_key(key), self._event("d", None))

    def tombstone(self, key: str) -> int:
        return self._add(raw_key(key), None)

    def barrier(self, below: int) -> int:
        return self._add(BARRIER_KEY, self._event("t", None, below=BASE + below))

    def compact(self, offset: int) -> None:
        self.records = [record for record in self.records if record.offset() != offset]

    def reader(self, _topic: str, _number: int, start: int) -> Any:
        position = [start]

        def to_end(**_more: Any) -> Iterator[Record]:
            for record in list(self.records):
                if record.offset() >= position[0]:
                    position[0] = record.offset() + 1
                    yield record

        return nullcontext(SimpleNamespace(to_end=to_end))

    def drop(self, letters: Mapping[bytes, int]) -> None:
        self.dropped |= letters


def letter(offset: int, key: str, topic_id: str = "uuid") -> DeadLetter:
    return DeadLetter(
        table="shop.orders", topic="shop.shop.orders", topic_id=topic_id, partition=0, offset=offset,
        key=raw_key(key).decode(), key_text=key, seq=BASE + offset, index=INDEX.alias, id=key, status=400,
        type="document_parsing_exception", reason="failed to parse", ts_ms=1, value=None,
    )  # fmt: skip


def case_of(offset: int, key: str = "k", **more: Any) -> Case:
    return Case(Numbered(offset, letter(offset, key, **more)))


def replay(log: Log, cluster: FakeCluster, *cases: Case, apply: bool = True, shape: Shape = PLAIN) -> None:
    desk: Any = SimpleNamespace(
        settings=SETTINGS, client=cluster.bulk(), indices=SimpleNamespace(verify=lambda _alias: None), letterbox=log,
        reader=log.reader,
    )  # fmt: skip
    part = part_of()
    part.shape = shape
    PartReplay(desk, part, INDEX, cases, low=log.low).run(apply=apply)


def nothing(_log: Log) -> None:
    pass


ENDINGS: list[tuple[str, Callable[[Log], object], Ending, int]] = [
    ("nothing came", nothing, Ending.INDEXED, 0),
    ("other keys came", lambda log: log.put("other"), Ending.INDEXED, 0),
    ("a barrier that spares it", lambda log: log.barrier(1), Ending.INDEXED, 0),
    ("the key again", lambda log: log.put("k", "newer"), Ending.OVERTAKEN, 0),
    ("its delete", lambda log: log.delete("k"), Ending.OVERTAKEN, 2),
    ("a delete's tombstone alone", lambda log: log.tombstone("k"), Ending.OVERTAKEN, 2),
    ("a barrier", lambda log: log.barrier(2), Ending.OVERTAKEN, 2),
    ("a barrier, and the key again", lambda log: (log.barrier(2), log.put("k")), Ending.OVERTAKEN, 0),
    ("compaction", lambda log: log.compact(1), Ending.OVERTAKEN, 0),
    ("a cut log", lambda log: setattr(log, "low", 2), Ending.LEFT, 0),
]


@pytest.mark.parametrize(("since", "ending", "erased"), [row[1:] for row in ENDINGS], ids=[row[0] for row in ENDINGS])
def test_what_came_since_decides(since: Callable[[Log], object], ending: Ending, erased: int) -> None:
    log, cluster = Log(), FakeCluster()
    log.put("k", "older")
    log.put("k", "refused")
    since(log)
    dry, case = case_of(1), case_of(1)
    replay(log, cluster, dry, apply=False)
    assert dry.ending is (Ending.PLANNED if ending is Ending.INDEXED else ending)
    assert not cluster.requests
    assert not log.dropped
    replay(log, cluster, case)
    assert case.ending is ending
    assert cluster.versions.get("k", 0) == (BASE + 1 if ending is Ending.INDEXED else BASE + erased if erased else 0)
    assert log.dropped == ({} if ending is Ending.LEFT else {case.record: case.seq})
    if ending is Ending.INDEXED:
        assert cluster.docs["k"][1]["note"] == "refused"
        assert cluster.docs["k"][1]["_cdc"]["offset"] == 1


def test_the_topic_was_made_again() -> None:
    log = Log()
    log.put("k")
    same, again = case_of(0, topic_id="older"), case_of(0, topic_id="older")
    replay(log, FakeCluster(), same)
    assert same.ending is Ending.LEFT
    log.put("k")
    replay(log, FakeCluster(), again)
    assert again.ending is Ending.OVERTAKEN


@pytest.mark.parametrize("gone_by", ["delete", "barrier"])
def test_what_is_deleted_while_we_write_stays_deleted(gone_by: str) -> None:
    """The sink applies the delete before our write lands, and Elasticsearch has forgotten its version by then."""
    log, cluster = Log(), FakeCluster()
    log.put("k")

    def meanwhile(_body: bytes) -> None:
        if log.end == 1:
            log.delete("k") if gone_by == "delete" else log.barrier(1)

    cluster.request_rule = meanwhile
    case = case_of(0)
    replay(log, cluster, case)
    assert case.ending is Ending.OVERTAKEN
    assert not cluster.docs
    assert log.dropped


def test_what_a_filter_deletes_while_we_write_stays_deleted() -> None:
    log, cluster = Log(), FakeCluster()
    log.put("k", "n")

    def meanwhile(_body: bytes) -> None:
        if log.end == 1:
            log.put("k", "out")

    cluster.request_rule = meanwhile
    case = case_of(0)
    replay(log, cluster, case, shape=Shape(Rules(filter=(Condition(column="note", op="!=", value="out"),))))
    assert case.ending is Ending.OVERTAKEN
    assert not cluster.docs
    assert log.dropped


def test_what_an_earlier_replay_left_behind_is_deleted() -> None:
    """It wrote, and ended before it looked again."""
    log, cluster = Log(), FakeCluster()
    log.put("k")
    log.delete("k")
    cluster.docs["k"], cluster.versions["k"] = (BASE, {}), BASE
    replay(log, cluster, case_of(0))
    assert not cluster.docs


def test_nothing_is_sent_again_on_the_strength_of_an_old_look() -> None:
    log, cluster = Log(), FakeCluster()
    log.put("k")
    log.put("other")

    def busy(_body: bytes) -> tuple[int, str] | None:
        if log.end == 2:
            log.put("k", "newer")
            return 429, "es_rejected_execution_exception"
        return None

    cluster.request_rule = busy
    case, other = case_of(0), case_of(1, "other")
    replay(log, cluster, case, other)
    assert cluster.requests == [["other"]]
    assert (case.ending, other.ending) == (Ending.OVERTAKEN, Ending.INDEXED)


def test_a_cluster_that_does_not_answer_leaves_the_letters() -> None:
    log, cluster = Log(), FakeCluster()
    log.put("k")
    cluster.request_rule = lambda _body: (503, "")
    with pytest.raises(UnreachableError, match="503"):
        replay(log, cluster, case_of(0))
    assert not log.dropped


def test_a_document_that_cannot_be_made_is_refused_again() -> None:
    log, cluster = Log(), FakeCluster()
    log.put("k")
    case = case_of(0)
    replay(log, cluster, case, shape=Shape(Rules(transform="json:loads")))  # which wants a text
    assert case.ending is Ending.REFUSED
    assert "json:loads" in case.reason
    assert not log.dropped


def test_refused_again_newer_there_too_large_and_a_version_not_followed() -> None:
    log, cluster = Log(), FakeCluster()
    for key in ("bad", "stale", "large", "good"):
        log.put(key, "x" * (5000 if key == "large" else 10))
    log.put("later", version=2)
    cluster.versions["stale"] = BASE + 1
    cluster.item_rule = lambda _op, target: (400, "document_parsing_exception") if target["_id"] == "bad" else None
    cluster.request_rule = lambda body: (413, "") if len(body) > 2000 else None
    cases = {key: case_of(n, key) for n, key in enumerate(("bad", "stale", "large", "good", "later"))}
    replay(log, cluster, *cases.values())
    assert {key: case.ending for key, case in cases.items()} == {
        "bad": Ending.REFUSED, "stale": Ending.OVERTAKEN, "large": Ending.REFUSED, "good": Ending.INDEXED,
        "later": Ending.LEFT,
    }  # fmt: skip
    assert set(log.dropped) == {cases["stale"].record, cases["good"].record}


def test_the_newest_letter_of_a_key_stands_until_it_is_dropped() -> None:
    with closing(Standing()) as found:
        found.wrote(b"a", 0, 10)
        found.wrote(b"b", 1, 11)
        found.wrote(b"a", 2, 12)
        assert list(found.numbers()) == [1, 2]
        found.dropped(b"a", 10)  # meant the older one
        assert list(found.numbers()) == [1, 2]
        assert (found.seq(b"a"), found.seq(b"c")) == (12, -1)
        found.dropped(b"a", 12)
        found.dropped(b"b", None)
        assert not list(found.numbers())
        found.wrote(b"a", 5, 13)
        assert list(found.numbers()) == [5]
        found.wrote(b"a", 6, 9)  # older
        assert list(found.numbers()) == [5]


def test_what_is_dropped_or_written_while_letters_are_told() -> None:
    with closing(Standing()) as found:
        for number in range(2500):
            found.wrote(b"%d" % number, number, number)
        told = found.numbers()
        begin = [next(told) for _ in range(10)]
        found.dropped(b"2000", None)
        found.wrote(b"new", 9000, 9000)
        assert [*begin, *told] == [number for number in range(2500) if number != 2000]


def test_letters_whose_very_event_the_index_has_matter_no_more() -> None:
    """After a rebuild, of all that the mended mapping takes. `replay` drops them, so a look says so too."""
    seqs = {"older": BASE, "same": BASE + 1, "newer": BASE + 2}
    hits = [{"_id": key, "_source": {"_cdc": {"seq": seq}}} for key, seq in seqs.items()]
    client: Any = SimpleNamespace(search=lambda **_: {"hits": {"hits": hits}})
    letters = [Numbered(number, letter(1, key)) for number, key in enumerate((*seqs, "gone"))]
    assert overtaken(client, letters, "es") == {1, 2}


def test_more_letters_than_memory_may_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    box: Any = nullcontext(SimpleNamespace(standing=lambda _wanted: (Numbered(n, letter(n, "k")) for n in range(4))))
    monkeypatch.setattr(replay_module, "Letterbox", lambda *_: box)
    monkeypatch.setattr(replay_module, "_MOST", 3)
    with pytest.raises(UsageError, match="more than 3 letters"):
        replay_module.replay(Settings.model_validate({"source": {"name": "shop"}}), "x", Wanted(), apply=False)


def test_which_letters_are_wanted() -> None:
    found = Numbered(7, letter(3, "k").model_copy(update={"ts_ms": 5000}))
    for wanted, is_ in [
        (Wanted(), True), (Wanted(numbers=frozenset({7})), True), (Wanted(numbers=frozenset({8})), False),
        (Wanted(tables=("shop.*",)), True), (Wanted(tables=("shop.other",)), False), (Wanted(reason="FAILED"), True),
        (Wanted(reason="mapper"), False), (Wanted(since_ms=5000), True), (Wanted(until_ms=5000), False),
    ]:  # fmt: skip
        assert wanted(found) is is_


@pytest.mark.parametrize(
    ("value", "event"),
    [
        (None, None),
        ('{"source":{"seq":9007199254740993},"op":"c"}', {"source": {"seq": "9007199254740993"}, "op": "c"}),
        ('{"schema":{},"payload":{"op":"c"}}', {"schema": {}, "payload": {"op": "c"}}),  # as Debezium writes it
    ],
)
def test_any_event_can_be_shown(value: str | None, event: dict[str, Any] | None) -> None:
    found = Numbered(7, letter(3, "k").model_copy(update={"value": value}))
    assert orjson.loads(show_json(found))["event"] == event


def test_a_list_is_text_and_no_markup() -> None:
    console = Console(record=True, width=200, file=StringIO())
    letters = (Numbered(n, letter(n, "[/b]" if n % 2 else "[red]x")) for n in range(1001))
    show_list(looked_at(letters, None), console)
    shown = console.export_text().splitlines()
    assert len(shown) == 1 + 1001 + 1
    assert " [red]x " in shown[1]
    assert " [/b] " in shown[2]
    assert shown[-1] == "1,001 dead letters"
