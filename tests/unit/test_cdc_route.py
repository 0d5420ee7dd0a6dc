"""Table patterns, topic names, partition counts."""

from __future__ import annotations

import time

import pytest

from cdc.route import SYSTEM_SCHEMAS, TableFilter, TableRouter
from schemas.table import full_name


def router(*tables: str, exclude: tuple[str, ...] = (), **overrides: object) -> TableRouter:
    options: dict[str, object] = {"topics": {}, "pinned": {}, "count": lambda _topic: 6, **overrides}
    return TableRouter("shop", TableFilter(tables, exclude), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("patterns", "exclude", "table", "wanted"),
    [
        (["shop.*"], [], "shop.orders", True),
        (["shop.*"], [], "Shop.orders", False),
        (["shop.*"], ["shop.tmp_*"], "shop.tmp_1", False),
        (["shop.orders"], [], "shop.orders2", False),
        (["*.orders"], [], "other.orders", True),
        (["shop.order?"], [], "shop.orders", True),
        (["shop.[ab]*"], [], "shop.bills", True),
        (["shop.*"], [], "shopping.orders", False),
        (["shop.a.b"], [], "shop.a.b", True),
        ([], [], "shop.orders", False),
    ],
)
def test_patterns(patterns: list[str], exclude: list[str], table: str, wanted: bool) -> None:
    assert TableFilter(patterns, exclude).matches(*table.split(".", 1)) is wanted


@pytest.mark.parametrize("db", [*sorted(SYSTEM_SCHEMAS), "MYSQL", "Performance_Schema"])
def test_system_schemas_are_never_captured(db: str) -> None:
    assert not TableFilter(["*.*"]).matches(db, "user")


def test_a_hostile_pattern_takes_no_time() -> None:
    began = time.monotonic()
    assert not TableFilter(["a." + "*a" * 60 + "b"]).matches("a", "a" * 64)
    assert time.monotonic() - began < 30


def test_refused_tables_are_left_out_by_name_and_come_back() -> None:
    made = router("shop.*")
    assert made.captures("shop", "a")
    assert made.captures("shop", "b")
    made.refuse(["shop.a"])
    assert not made.captures("shop", "a")
    assert made.captures("shop", "b")
    made.refuse([])
    assert made.captures("shop", "a")


def test_a_database_with_a_dot_in_its_name_is_not_captured() -> None:
    made = router("*.*")
    assert made.captures("a", "b.c")
    assert made.wants("a.b", "c")
    assert not made.captures("a.b", "c")
    assert not made.captures("a`b", "c")
    made.refuse([full_name("a.b", "c")])
    assert made.captures("a", "b.c")


def test_full_names_tell_tables_apart() -> None:
    named = [("a", "b.c"), ("a.b", "c"), ("a.b", ""), ("a", "b"), ("a", ""), ("`a", "b"), ("a.b.c", "")]
    assert len({full_name(db, table) for db, table in named}) == len(named)
    assert full_name("a", "b.c").split(".", 1) == ["a", "b.c"]


def test_tables_that_kafka_would_take_for_the_same_get_two_topics() -> None:
    made = router("*.*")
    first, second = made.topic("a", "b_c"), made.topic("a_b", "c")
    assert first == "shop.a.b_c"
    assert second.startswith("shop.a_b.c--")


def test_a_topic_once_given_stays_whoever_comes_first() -> None:
    topics = {"a.b_c": router("*.*").topic("a", "b_c")}
    topics["a_b.c"] = router("*.*", topics=topics).topic("a_b", "c")
    again = router("*.*", topics=topics)
    assert again.topic("a_b", "c") == topics["a_b.c"]
    assert again.topic("a", "b_c") == topics["a.b_c"]


def test_partition_counts_are_pinned_from_the_first_use_on() -> None:
    counts = {"shop.a.new": 4}
    made = router("*.*", pinned={"shop.a.old": 12}, count=counts.__getitem__)
    assert made.partitions("shop.a.old") == 12
    assert made.partitions("shop.a.new") == 4
    counts["shop.a.new"] = 8
    assert made.partitions("shop.a.new") == 4
