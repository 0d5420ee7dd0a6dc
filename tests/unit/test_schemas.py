"""Test vectors of what is written: keys, ids, partitions, fp, seq, GTID sets, names."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2

from schemas.document import Origin, cdc_block, document, field_name, fingerprint
from schemas.errors import FormatError
from schemas.key import document_id, kafka_key, key_text, partition_of
from schemas.mapping import table_mapping
from schemas.names import ALIAS_LIMIT, TOPIC_LIMIT, alias, escape, topic
from schemas.position import GtidSet, OpenTransaction, Position, first_seq
from schemas.record import Kind, read
from schemas.table import Column, ColumnType, Table


@pytest.mark.parametrize(
    ("columns", "key", "text"),
    [
        ({"id": 42}, b'{"id":42}', "42"),
        ({"id": 2**64 - 1}, b'{"id":18446744073709551615}', "18446744073709551615"),
        ({"a": 7, "b": "a"}, b'{"a":7,"b":"a"}', '[7,"a"]'),
        ({"a": "a|b", "b": "c"}, b'{"a":"a|b","b":"c"}', '["a|b","c"]'),
        ({"a": "a", "b": "b|c"}, b'{"a":"a","b":"b|c"}', '["a","b|c"]'),
        ({"s": "ünïcode"}, '{"s":"ünïcode"}'.encode(), "ünïcode"),
        ({"s": 'q"\n'}, b'{"s":"q\\"\\n"}', 'q"\n'),
        ({"s": ""}, b'{"s":""}', ""),
        ({"b": True}, b'{"b":true}', "true"),
        ({"f": 1.5}, b'{"f":1.5}', "1.5"),
    ],
)
def test_key_and_text(columns: dict[str, object], key: bytes, text: str) -> None:
    assert kafka_key(columns) == key
    assert key_text(key) == text


def test_ids_that_elasticsearch_refuses_are_hashed() -> None:
    assert document_id("42") == "42"
    assert document_id("x" * 512) == "x" * 512
    empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert document_id("") == empty
    assert document_id(empty) != empty
    assert document_id("x" * 513).startswith("sha256:")
    assert document_id("é" * 257).startswith("sha256:")


@pytest.mark.parametrize(
    ("key", "partition", "offset", "expected"),
    [("42", 3, 1187, 12753027), ("", 0, 0, 24990329), ('[7,"a"]', 5, 2**40, 35575413), ("ü", 1, 1, 10421786)],
)
def test_fingerprint_vectors(key: str, partition: int, offset: int, expected: int) -> None:
    raw = key.encode() + bytes(1) + partition.to_bytes(4, "big") + offset.to_bytes(8, "big")
    assert fingerprint(key, partition, offset) == expected == xxhash.xxh3_64_intdigest(raw, seed=0) % 2**26


@given(st.binary(max_size=40), st.integers(1, 100))
def test_partition_is_the_one_that_java_chooses(key: bytes, count: int) -> None:
    assert partition_of(key, count) == (murmur2(key) & 0x7FFFFFFF) % count


def test_seq_epoch() -> None:
    now = datetime(2024, 1, 2, tzinfo=UTC)
    assert first_seq(now) == 1440 << 39
    assert first_seq(now, highest=(1440 << 39) + 5) == 1441 << 39
    assert first_seq(now, highest=(9999 << 39) + 5) == 10000 << 39
    assert first_seq(datetime(2055, 1, 1, tzinfo=UTC)) < 2**63  # 24 bits of minutes last until November 2055


U1, U2 = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "aaaaaaaa-71ca-11e1-9e33-c80aa9429562"


def test_gtid_sets_keep_gaps_and_tags() -> None:
    text = f"{U1}:1-5:8-9,{U1}:blue:1-3,{U2}:7"
    gtids = GtidSet(text.upper().replace("BLUE", "Blue"))
    assert str(gtids) == text
    assert f"{U1}:8" in gtids
    assert f"{U1}:6" not in gtids
    assert f"{U1}:blue:2" in gtids
    for number in (6, 7):
        gtids.add(f"{U1}:{number}")
    assert str(gtids) == f"{U1}:1-9,{U1}:blue:1-3,{U2}:7"
    assert gtids.covers(GtidSet(text))
    assert not GtidSet(text).covers(gtids)


@given(st.lists(st.integers(1, 60), max_size=60))
def test_gtid_set_against_a_plain_set(numbers: list[int]) -> None:
    gtids = GtidSet()
    for number in numbers:
        gtids.add(f"{U1}:{number}")
    assert [n for n in range(1, 62) if f"{U1}:{n}" in gtids] == sorted(set(numbers))
    assert GtidSet(str(gtids)) == gtids


def test_position_round_trip_and_newer_formats() -> None:
    position = Position(
        gtid_set=f"{U1}:1-5",
        file="bin.000001",
        pos=4,
        server_uuid=U1,
        seq=1024,
        partitions={"a": 6},
        open=OpenTransaction(gtid=f"{U1}:6", event=2, row=7),
    )
    record = orjson.loads(orjson.dumps(position.to_json()))
    assert Position.from_json(record) == position
    with pytest.raises(FormatError, match="format 99"):
        Position.from_json({**record, "format": 99})


def test_table_round_trip() -> None:
    columns = (
        Column(name="id", type=ColumnType.BIGINT, unsigned=True, nullable=False),
        Column(name="_kind", type=ColumnType.ENUM, labels=("a", "b,c")),
    )
    table = Table(db="shop", name="x.y", version=3, columns=columns, primary_key=("id",), topic="t")
    assert Table.from_json(orjson.loads(orjson.dumps(table.to_json()))) == table


@given(st.lists(st.text(min_size=1, max_size=12), min_size=2, max_size=2, unique=True))
def test_escaping_is_injective(names: list[str]) -> None:
    one, other = names
    assert escape(one) != escape(other)
    assert field_name(one) != field_name(other)
    assert alias(topic("s", one, "t")) != alias(topic("s", other, "t"))


def test_topic_names() -> None:
    assert topic("shop", "shop", "orders") == "shop.shop.orders"
    assert topic("shop", "a.b", "ü") == "shop.a-2eb.-c3-bc"
    assert alias("shop.Shop.T") == "shop.-53hop.-54"
    long = topic("shop", "d" * 64, "ü" * 64)
    assert len(long) == TOPIC_LIMIT
    assert long[-10:-8] == "--"
    assert len(alias(topic("s", "D" * 64, "T" * 64))) <= ALIAS_LIMIT
    # Kafka refuses `s.a_b.c` beside `s.a.b_c`: in its metrics both are `s_a_b_c`.
    plain = topic("s", "a", "b_c")
    other = topic("s", "a_b", "c", taken=frozenset({plain}))
    assert other.startswith("s.a_b.c--")


def test_document_fields_never_collide_with_cdc() -> None:
    made = document({"_cdc": 1, "_id": 2, "a.b": 3, "a%2Eb": 4}, {"seq": 1})
    assert made == {"__cdc": 1, "__id": 2, "a%2Eb": 3, "a%252Eb": 4, "_cdc": {"seq": 1}}


def test_every_type_has_a_field() -> None:
    columns = tuple(Column(name=kind.value, type=kind) for kind in ColumnType)
    mapping = table_mapping(Table(db="d", name="t", version=1, columns=columns, primary_key=("int",)))
    assert set(mapping["properties"]) == {kind.value for kind in ColumnType} | {"_cdc"}
    assert mapping["dynamic"] is False
    assert "ignore_above" not in mapping["properties"]["_cdc"]["properties"]["key"]


def test_reading_records() -> None:
    event = {"before": None, "after": {"id": 1}, "source": {"seq": 7}, "op": "c"}
    assert read(b'{"id":1}', orjson.dumps(event), None)[:3] == (Kind.UPSERT, "1", 7)
    gone = {**event, "after": None, "op": "d"}
    assert read(b'{"id":1}', orjson.dumps(gone), [])[:3] == (Kind.DELETE, "1", 7)
    assert read(b'{"id":1}', None, [("seq", b"7")]) == (Kind.DELETE, "1", 7, None, 0)
    barrier = {"op": "t", "source": {"seq": 9}, "below": 9}
    assert read(b'"barrier"', orjson.dumps(barrier), None)[-1] == 9
    for key, value in [(None, b"{}"), (b"{}", None), (b"x", b"{}"), (b'{"id":1}', b"[]"), (b'{"id":1}', b"\xff")]:
        with pytest.raises(FormatError):
            read(key, value, [])


COLUMNS = st.dictionaries(
    st.sampled_from(["id", "note", "_id", "p.q%", "é", 'x"y']) | st.text(min_size=1, max_size=3),
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5) | st.lists(st.integers(0, 9)),
    min_size=1,
)


@given(COLUMNS, st.text(max_size=10), st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_a_document_as_bytes_is_the_document(
    after: dict[str, object], key: str, part: int, offset: int, seq: int
) -> None:
    raw = Origin("uuid", part).source(after, key=key, offset=offset, seq=seq, ts_ms=17)
    block = cdc_block(key=key, topic_id="uuid", partition=part, offset=offset, seq=seq, ts_ms=17)
    assert raw == orjson.dumps(document(after, block))


def stored(gtid_set: str) -> Position:
    record = Position(gtid_set=gtid_set, file="bin.1", pos=4, server_uuid=U1, seq=1).to_json()
    return Position.from_json(record)


@pytest.mark.parametrize(
    "gtid_set", ["", f"{U1}:1", f"{U1}:1-5:7:a:3-4:6:b_1:1,\n{U1.upper()}:tag:9", f"{U1}:" + ":".join(["1-2"] * 1000)]
)
def test_gtid_sets_that_are_taken_from_a_record(gtid_set: str) -> None:
    assert stored(gtid_set).gtid_set == gtid_set


@pytest.mark.timeout(60)  # in linear time
@pytest.mark.parametrize("item", ["1-2", "12345678901", "tag:1", "1:tag:3-4"])
@pytest.mark.parametrize("end", [":", ":x", ":1-", "!", ",", ":tag:tag:1"])
def test_a_damaged_gtid_set_is_refused_at_once(item: str, end: str) -> None:
    with pytest.raises(ValueError, match="gtid_set is"):
        stored(f"{U1}:" + ":".join([item] * 1000) + end)
