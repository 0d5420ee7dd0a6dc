"""A table's filter, transform and fields on the sink's way, which is quick where nothing is configured."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from fake_elastic import FakeCluster
from schemas.condition import Condition
from schemas.errors import UnreachableError
from schemas.shape import Rules, Shape
from sink.action import Actions
from sink.part import Item, Part, item_of
from sink.share import Intake, intake
from sink_kit import BASE, Letters, raw_key, settle, settler_of, tools_of
from sink_kit import part_of as plain_part

NUMBERS = Rules(transform="transforms:picky")


def part_of(**rules: Any) -> Part:
    return plain_part(shape=Shape(Rules(**rules), ("shop", "id")))


class Message:
    """As the Kafka client hands it over."""

    def __init__(self, offset: int, key: bytes, value: bytes | None) -> None:
        self.offset, self.key, self.value = (lambda: offset), (lambda: key), (lambda: value)
        self.headers = lambda: [("seq", b"%d" % (BASE + offset))]
        self.timestamp = lambda: (1, 5000)


def value(offset: int, row: dict[str, Any] | None) -> bytes:
    source = {"seq": BASE + offset, "table_version": 1, "ts_ms": 1000 + offset, "table": "orders"}
    return orjson.dumps({"op": "u", "source": source, "after": row})


def item(part: Part, offset: int, key: str, note: str | None) -> Item:
    part.offsets.opened([(offset, BASE + offset)])
    return item_of(part, offset, raw_key(key), value(offset, None if note is None else {"id": key, "note": note}))


def taken(part: Part, *rows: dict[str, Any]) -> Intake:
    messages: Any = [Message(n, raw_key(row["id"]), value(n, row)) for n, row in enumerate(rows)]
    found = intake(part, messages, version=1, lanes=1)
    assert found
    return found


def actions(lines: bytes) -> list[Any]:
    return [orjson.loads(line) for line in lines.splitlines()]


def test_what_the_filter_refuses_is_deleted_with_the_events_seq() -> None:
    part = part_of(filter=(Condition(column="note", op="=", value="good"),), exclude=frozenset({"note"}))
    (share,) = taken(part, {"id": "a", "note": "good"}, {"id": "b", "note": "bad"}).shares
    index, document, delete = actions(share.lines)
    assert index["index"]["_id"] == "a"
    assert set(document) == {"id", "_cdc"}
    assert delete == {
        "delete": {"_index": part.alias, "_id": "b", "version": BASE + 1, "version_type": "external"}
    }  # fmt: skip


def test_the_quick_and_the_careful_way_make_the_same() -> None:
    part = part_of(transform="transforms:upper", rename={"note": "text"})
    rows = [{"id": "a", "note": "x y"}, {"id": "b", "note": ""}]
    (share,) = taken(part, *rows).shares
    assert share.lines == b"".join(Actions(part).lines(share.item(place)) for place in range(2))
    assert actions(share.lines)[1]["text"] == "X Y"


def test_a_document_without_fields_is_json() -> None:
    (share,) = taken(part_of(transform="transforms:nothing_much"), {"id": "a", "note": "x"}).shares
    assert set(actions(share.lines)[1]) == {"_cdc"}


def test_routing_goes_with_documents_and_deletes() -> None:
    part = part_of(routing=("shop",))
    make = Actions(part).lines_of
    row = {"shop": "north", "id": 7}
    index, document = actions(make('["north",7]', 0, BASE, {"after": row}, 1, None))
    (delete,) = actions(make('["north",7]', 0, BASE, None, 1, None))
    assert index["index"]["routing"] == delete["delete"]["routing"] == "north"
    assert document["shop"] == "north"


def test_a_transform_that_fails_makes_a_dead_letter_and_others_go_on() -> None:
    cluster, part, letters = (
        FakeCluster(),
        plain_part(shape=Shape(NUMBERS)),
        Letters([UnreachableError("kafka is away")]),
    )
    notes = ["1", "two", "3"]
    settle(
        settler_of(tools_of(cluster.bulk(), letters=letters)),
        [item(part, n, f"k{n}", note) for n, note in enumerate(notes)],
    )
    assert {key: source["number"] for key, (_, source) in cluster.docs.items()} == {"k0": 1, "k2": 3}
    (letter,) = letters.written
    assert (letter.offset, letter.status, letter.type, letter.id) == (1, 0, "transform_exception", "k1")
    assert "`transforms:picky` raised ValueError" in letter.reason
    assert orjson.loads(letter.value or "")["after"]["note"] == "two"
    assert part.offsets.mark == (3, BASE + 2)


def test_where_the_newest_fails_the_one_before_is_indexed() -> None:
    cluster, part, letters = FakeCluster(), plain_part(shape=Shape(NUMBERS)), Letters()
    items = [item(part, n, "k", note) for n, note in enumerate(["1", "2", "three", "four"])]
    settle(settler_of(tools_of(cluster.bulk(), letters=letters)), [*items, item(part, 4, "other", "5")])
    assert cluster.docs["k"][0] == BASE + 1
    assert cluster.docs["other"][1]["number"] == 5
    assert [letter.seq for letter in letters.written] == [BASE + 2, BASE + 3]
    assert part.offsets.mark == (5, BASE + 4)


def test_where_all_fail_nothing_is_sent() -> None:
    cluster, part, letters = FakeCluster(), plain_part(shape=Shape(NUMBERS)), Letters()
    settle(settler_of(tools_of(cluster.bulk(), letters=letters)), [item(part, n, f"k{n}", "x") for n in range(5)])
    assert not cluster.bodies
    assert len(letters.written) == 5
    assert part.offsets.mark.offset == 5


def test_a_delete_is_not_asked_for() -> None:
    cluster, part, letters = FakeCluster(), plain_part(shape=Shape(NUMBERS)), Letters()
    settle(settler_of(tools_of(cluster.bulk(), letters=letters)), [item(part, 0, "k", "1"), item(part, 1, "k", None)])
    assert cluster.versions == {"k": BASE + 1}
    assert not cluster.docs


EVENTS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["1", "22", "0", "bad", None])), max_size=25)


@given(EVENTS, st.integers(1, 25))
def test_the_index_ends_as_one_by_one_it_would(events: list[tuple[str, str | None]], size: int) -> None:
    """Good notes are indexed, "0" does not pass the filter, "bad" is a dead letter that leaves what was there."""
    condition = Condition(column="note", op="!=", value="0")
    cluster, letters = FakeCluster(), Letters()
    part = plain_part(shape=Shape(Rules(filter=(condition,), transform="transforms:picky")))
    settler = settler_of(tools_of(cluster.bulk(), letters=letters))
    items = [item(part, n, key, note) for n, (key, note) in enumerate(events)]
    expected: dict[str, int] = {}
    for key, note in events:
        if note in (None, "0"):
            expected.pop(key, None)
        elif note != "bad":
            expected[key] = int(note)
    for start in range(0, len(items), size):
        settle(settler, items[start : start + size])
    assert {key: source["number"] for key, (_, source) in cluster.docs.items()} == expected
    assert part.offsets.open == 0
    bad = {(key, n) for n, (key, note) in enumerate(events) if note == "bad"}
    assert {(letter.key_text, letter.offset) for letter in letters.written} <= bad
    last = {key: (key, n) for n, (key, _) in enumerate(events)}
    assert bad & set(last.values()) <= {(letter.key_text, letter.offset) for letter in letters.written}
