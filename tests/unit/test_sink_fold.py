from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.document import fingerprint
from schemas.errors import FormatError, OffsetsLostError
from sink import commit
from sink.action import Actions
from sink.fold import Folded, Run
from sink.part import Item
from sink_kit import BASE, batch_of, item_of, part_of


def fold(items: list[Item]) -> list[Run]:
    folded = Folded(batch_of(items))
    return folded.runs(slice(0, len(folded.sizes)))


def lines(item: Item) -> bytes:
    return Actions(item.part).lines(item)


def test_only_the_newest_of_a_key_is_sent() -> None:
    part = part_of()
    items = [item_of(part, n, key, BASE + n) for n, key in enumerate("abacab")]
    runs = fold(items)
    assert {run.current.key: run.current.offset for run in runs} == {"a": 4, "b": 5, "c": 3}
    assert sorted(item.offset for run in runs for item in run.events) == [0, 1, 2, 3, 4, 5]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 6)), max_size=20))
def test_folding_ends_as_one_by_one_with_external_versions_would(
    events: list[tuple[str, int]],
) -> None:
    part = part_of()
    items = [item_of(part, n, key, seq) for n, (key, seq) in enumerate(events)]
    one_by_one: dict[str, tuple[int, int]] = {}
    for item in items:
        if item.seq > one_by_one.get(item.key, (0, 0))[0]:
            one_by_one[item.key] = (item.seq, item.offset)
    assert {run.current.key: (run.current.seq, run.current.offset) for run in fold(items)} == one_by_one


def test_the_same_key_of_two_tables_is_two_keys() -> None:
    one, other = part_of(topic="s.a.t"), part_of(topic="s.b.t")
    assert len(fold([item_of(one, 0, "1", 1), item_of(other, 0, "1", 2)])) == 2


def test_what_was_overtaken_is_settled_with_what_overtook_it() -> None:
    part, other = part_of(0), part_of(1)
    items = [item_of(part, n, key, BASE + n) for n, key in enumerate("abacab")]
    folded = Folded(batch_of([*items, item_of(other, 7, "a", 1)]))
    assert len(folded.sizes) == 4
    (first,) = folded.settled(slice(0, 1))
    assert (first.part, sorted(first.offsets), first.sent, first.overtaken) == (part, [0, 2, 4], 1, 2)
    rest = list(folded.settled(slice(1, 4)))
    assert [(found.part, sorted(found.offsets)) for found in rest] == [(part, [1, 3, 5]), (other, [7])]
    assert folded.parts(slice(3, 4)) == {other}


def test_a_key_in_two_partitions_is_sent_for_each() -> None:
    one, other = part_of(0), part_of(1)
    runs = fold([item_of(one, 0, "a", 5), item_of(other, 0, "a", 9)])
    assert [(run.current.part, run.current.seq) for run in runs] == [(one, 5), (other, 9)]
    other.owned = False
    assert [run.owned for run in runs] == [True, False]


def test_an_index_action_is_two_lines() -> None:
    part = part_of(number=2)
    action, document, rest = lines(item_of(part, 1187, "42", BASE, note='é\n"x"')).split(b"\n")
    assert rest == b""
    assert orjson.loads(action) == {
        "index": {"_index": "shop.shop.orders", "_id": "42", "version": BASE, "version_type": "external"}
    }
    assert orjson.loads(document) == {
        "id": "42",
        "note": 'é\n"x"',
        "_cdc": {
            "key": "42", "topic_id": "uuid", "partition": 2, "offset": 1187, "seq": BASE, "rev": 0,
            "fp": fingerprint("42", 2, 1187), "ts_ms": 2187,
        },
    }  # fmt: skip


def test_a_delete_action_has_the_version_too() -> None:
    (line,) = lines(item_of(part_of(), 0, "x" * 600, BASE, delete=True)).splitlines()
    target = orjson.loads(line)["delete"]
    assert target["_id"].startswith("sha256:")
    assert target["version"] == BASE


def test_commit_metadata_reads_back() -> None:
    for sound in (None, commit.Sound(3, BASE - 1, 16)):
        there = commit.Committed("uuid", BASE, 17, 18, sound)
        assert commit.decode(there.encode(), "t[0]") == there
    assert orjson.loads(there.encode())["seq"] == str(BASE)


@pytest.mark.parametrize("metadata", [None, "", "x", "[]", "{}", '{"format":1}'])
def test_an_offset_that_no_sink_committed(metadata: str | None) -> None:
    with pytest.raises((OffsetsLostError, FormatError)):
        commit.decode(metadata, "t[0]")


def test_a_newer_sinks_offset_is_refused_by_name() -> None:
    with pytest.raises(FormatError, match="format 2"):
        commit.decode('{"format":2}', "t[0]")
