"""What the sink makes of events, on a real Kafka and a real Elasticsearch."""

from __future__ import annotations

import json

import orjson
import pytest
from confluent_kafka.admin._config import ConfigResource
from elasticsearch import Elasticsearch

from ops.elastic import RAW
from runner import until
from schemas.document import fingerprint
from schemas.names import deadletter_topic
from schemas.table import Column, ColumnType
from sink_world import World, letters, ready, reason

pytestmark = pytest.mark.stack

LINES = (Column(name="a", type=ColumnType.VARCHAR), Column(name="b", type=ColumnType.VARCHAR),
         Column(name="_id", type=ColumnType.INT), Column(name="p.q%", type=ColumnType.CHAR))  # fmt: skip


def test_inserts_updates_deletes(world: World) -> None:
    world.source.table()
    world.put(*({"id": n, "note": f"n{n}"} for n in range(300)))
    sink = world.sink()
    world.put(*({"id": n, "note": None} for n in range(0, 300, 3)))
    world.delete(*({"id": n} for n in range(0, 300, 7)))
    world.delete({"id": 1}, event=False)  # compaction leaves the tombstone alone
    world.delete({"id": 2}, stone=False)
    world.put({"id": 7, "note": "back"})
    world.await_equal()
    for number, part in world.commits().items():
        metadata = orjson.loads(part.metadata)
        newest = [d["_cdc"]["seq"] for d in world.documents().values() if d["_cdc"]["partition"] == number]
        assert int(metadata["seq"]) >= max(newest)
        assert metadata["format"] == 1
    document = world.documents()["7"]
    block = document["_cdc"]
    assert block["fp"] == fingerprint("7", block["partition"], block["offset"])
    assert block["topic_id"] == metadata["topic_id"]
    assert sink.stop("sink") == 0


def test_keys_that_others_trip_over(world: World) -> None:
    world.source.table()
    world.source.table("shop.Order Lines", LINES, primary_key=("a", "b"))
    world.source.table("shop.tags", (Column(name="tag", type=ColumnType.VARCHAR),), primary_key=("tag",))
    sink = world.sink(sink={"tables": {"shop.Order Lines": {"index": f"{world.name}-lines"}}})
    pairs = [("a|b", "c"), ("a", "b|c"), ('"', "\\"), ("", ""), ('","', ""), ("x" * 300, "y" * 300)]
    world.put(*({"a": a, "b": b, "_id": 7, "p.q%": "z"} for a, b in pairs), table="shop.Order Lines")
    tags = ["", " ", "a", "A", "a ", "ü", "u\u0308", "日本", "sha256:ab", "e" * 513, "/_bulk?x", "\n", "\u0000", "🦀"]
    world.put(*({"tag": tag} for tag in tags), table="shop.tags")
    world.await_equal("shop.tags")
    world.await_committed("shop.Order Lines")
    client = world.client
    client.indices.refresh(index=f"{world.name}-lines")
    hits = client.search(index=f"{world.name}-lines", size=100)["hits"]["hits"]
    assert {(hit["_source"]["a"], hit["_source"]["b"]) for hit in hits} == set(pairs)
    assert all(hit["_source"]["__id"] == 7 and hit["_source"]["p%2Eq%25"] == "z" for hit in hits)
    assert {hit["_source"]["_cdc"]["key"] for hit in hits} == {orjson.dumps(pair).decode() for pair in pairs}
    assert sink.stop("sink") == 0
    client.indices.delete(index=f"{world.name}-lines.000001")


def test_a_table_that_appears_later_and_a_version_that_is_not_known_yet(world: World) -> None:
    sink = world.sink()  # before there is any topic
    world.source.table()
    world.put({"id": 1, "note": "x"})
    world.await_equal()
    columns = (*world.source.tables["shop.orders"].columns, Column(name="price", type=ColumnType.DECIMAL))
    newer = world.source.table(columns=columns, version=2, announce=False)
    world.put({"id": 2, "note": "y", "price": "1.20"})
    until(lambda: "version 2" in reason(sink), "the sink says what it waits for")
    assert "2" not in world.documents()
    world.source.announce(newer)
    world.await_equal()
    mapping = world.client.indices.get_mapping(index=world.alias())[f"{world.alias()}.000001"]["mappings"]
    assert mapping["properties"]["price"]["type"] == "double"
    assert mapping["_meta"]["tidemark"] == {
        "format": 1, "source": world.name, "table": "shop.orders", "topic": world.alias(), "table_version": 2
    }  # fmt: skip
    until(lambda: ready(sink), "ready again")
    assert sink.stop("sink") == 0


def test_a_mapping_that_cannot_follow_stops_its_table_only(world: World) -> None:
    world.source.table()
    world.source.table("shop.other")
    sink = world.sink()
    world.put({"id": 1, "note": "x"})
    world.await_equal()
    number = (Column(name="id", type=ColumnType.BIGINT), Column(name="note", type=ColumnType.INT))
    world.source.table(columns=number, version=2)
    world.source.publish({"id": 2, "note": 5})
    world.put({"id": 1, "note": "goes on"}, table="shop.other")
    world.await_equal("shop.other")
    until(lambda: "note: has text, needs long" in reason(sink), "the difference is told")
    assert "2" not in world.documents()
    assert world.committed() != world.ends()
    assert sink.stop("sink") == 0
    again = world.sink(ready=False)
    until(lambda: "note: has text, needs long" in reason(again), "the difference is told again")
    assert again.stop("sink") == 0


def test_replays_and_records_out_of_order(world: World) -> None:
    world.source.table()
    old, new = world.source.next_seq(), world.source.next_seq()
    world.sink()
    world.source.transact(lambda: world.source.put({"id": 1, "note": "new"}, seq=new))
    world.source.transact(lambda: world.source.put({"id": 1, "note": "old"}, seq=old))
    world.source.transact(lambda: world.source.delete({"id": 2}, seq=new))
    world.await_committed()
    world.source.transact(lambda: world.source.put({"id": 2, "note": "risen"}, seq=old))
    world.source.transact(lambda: world.source.put({"id": 3, "note": "aborted"}), abort=True)
    world.await_committed()
    assert world.shown() == {"1": {"id": 1, "note": "new"}}


def test_a_barrier_empties_what_lies_below_it(world: World) -> None:
    world.source.table()
    sink = world.sink()
    world.put(*({"id": n, "note": "old"} for n in range(2500)))
    below = world.source.seq
    world.source.transact(lambda: [world.source.put({"id": 9, "note": "kept"}), world.source.barrier(below=below)])
    world.rows["shop.orders"] = {"9": {"id": 9, "note": "kept"}, "2499": {"id": 2499, "note": "old"}}
    world.put({"id": 3, "note": "after"})
    world.await_equal()
    world.source.transact(world.source.barrier)
    world.rows["shop.orders"] = {}
    world.put({"id": 3, "note": "truncated"}, {"id": 4, "note": "x"})
    world.await_equal()
    assert sink.stop("sink") == 0


def test_poison_goes_to_the_dead_letters_and_others_go_on(world: World) -> None:
    world.source.table("shop.n", (Column(name="id", type=ColumnType.BIGINT), Column(name="n", type=ColumnType.BIGINT)))
    sink = world.sink()
    good = [{"id": n, "n": n} for n in range(200)]
    world.put(*good, table="shop.n")
    world.await_equal("shop.n")

    def mixed() -> None:
        for n in range(200):
            world.source.put({"id": n, "n": -n}, "shop.n")
        world.source.put({"id": 5, "n": 2**63}, "shop.n")  # what no BIGINT holds
        world.source.put({"id": 6, "n": 2**63}, "shop.n")

    world.source.transact(mixed)
    world.rows["shop.n"] = {str(n): {"id": n, "n": -n} for n in range(200)}
    world.put({"id": 6, "n": 66}, table="shop.n")
    world.await_equal("shop.n")
    found = [letter for letter in letters(world) if letter.key_text == "5"]
    (letter,) = found
    assert (letter.status, letter.type, letter.id, letter.topic) == (
        400, "document_parsing_exception", "5", world.alias("shop.n"),
    )  # fmt: skip
    assert orjson.loads(letter.value or "")["after"] == {"id": 5, "n": 2**63}
    assert str(2**63) in letter.reason
    assert str(2**63) not in sink.log("sink")
    assert "document_parsing_exception" in sink.log("sink")
    resource = ConfigResource(ConfigResource.Type.TOPIC, deadletter_topic(world.name))
    config = world.source.admin.describe_configs([resource])[resource].result(60)
    assert config["cleanup.policy"].value == "compact"
    assert int(config["max.message.bytes"].value) == 16 << 20
    assert sink.stop("sink") == 0


def test_json_and_text_that_others_trip_over(world: World) -> None:
    columns = {"id": ColumnType.BIGINT, "doc": ColumnType.JSON, "word": ColumnType.CHAR, "note": ColumnType.TEXT}
    world.source.table("shop.json", tuple(Column(name=name, type=kind) for name, kind in columns.items()))
    sink = world.sink()
    deep: object = 1
    for level in range(98):
        deep = {"d": deep} if level % 2 else [deep]
    changing = ["text", 1, {"q": 1}, [1, {"q": "s"}, [None]], {"q": {"r": True}}, None]
    documents = [
        deep,
        [{"a": n} for n in range(20_001)],
        *({"p": value} for value in changing),
        "scalar",
        [],
        {"": {"": 1}},
    ]
    world.put(*({"id": n, "doc": doc, "word": "w", "note": ""} for n, doc in enumerate(documents)), table="shop.json")
    digits = b'{"n":123456789012345678901234567890,"d":[0.12345678901234567890123,12345678901234567.89]}'
    exact = {"id": 40, "doc": orjson.Fragment(digits), "word": "w", "note": ""}
    world.source.publish(exact, table="shop.json")
    world.rows["shop.json"]["40"] = {**exact, "doc": json.loads(digits)}
    words = ["x" * 8191, "日" * 8191, "x" * 8192, "日" * 11_000, "\U0001f980" * 8192, "x" * 40_000]
    world.put(*({"id": 50 + n, "doc": None, "word": w, "note": w} for n, w in enumerate(words)), table="shop.json")
    world.await_equal("shop.json")
    assert not letters(world)
    alias = world.alias("shop.json")
    login = tuple(world.servers.elastic.login.values()) or None
    with Elasticsearch([world.servers.elastic.url], serializers=RAW, basic_auth=login) as client:
        found = client.perform_request("GET", f"/{alias}/_source/40", headers={"accept": "application/json"}).body
    assert b'"doc":%b,' % digits in found
    assert set(world.client.indices.get_mapping(index=alias)[f"{alias}.000001"]["mappings"]["properties"]) == {
        *columns, "_cdc",
    }  # fmt: skip
    for field in ("word", "note.keyword"):  # a term is at most 32,766 bytes: longer texts are kept, not indexed
        query = {"bool": {"filter": [{"exists": {"field": field}}, {"range": {"id": {"gte": 50}}}]}}
        assert world.client.count(index=alias, query=query)["count"] == 2
    assert sink.stop("sink") == 0
