"""Which document an event asks for."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from ops.settings import SinkSettings
from ops.shapes import Shapes
from schemas.condition import Condition
from schemas.errors import ConfigError, DocumentError
from schemas.mapping import table_mapping
from schemas.routing import Routing
from schemas.shape import PLAIN, Rules, Shape
from schemas.table import Column, ColumnType, Table

ROW = {"id": 1, "note": "a b", "p.q": 2, "_id": 3}
TABLE = Table(
    db="shop", name="orders", version=1, primary_key=("id",), topic="s.shop.orders",
    columns=(Column(name="id", type=ColumnType.INT), Column(name="note", type=ColumnType.VARCHAR),
             Column(name="p.q", type=ColumnType.BIGINT, unsigned=True)),
)  # fmt: skip


def event(row: dict[str, Any] | None = ROW) -> dict[str, Any]:
    return {
        "op": "d" if row is None else "u",
        "before": None,
        "after": row and dict(row),
        "source": {"table": "orders"},
    }


def fields(row: dict[str, Any] | None = ROW, **rules: Any) -> Any:
    return Shape(Rules(**rules)).fields(event(row))


def test_the_row_as_it_is() -> None:
    assert PLAIN.plain
    assert fields() == {"id": 1, "note": "a b", "p%2Eq": 2, "__id": 3}
    assert fields(None) is None


def test_columns_that_are_chosen() -> None:
    assert fields(include=frozenset({"ID", "p.q"})) == {"id": 1, "p%2Eq": 2}
    assert fields(exclude=frozenset({"Note", "_id", "p.q"})) == {"id": 1}
    assert fields(rename={"note": "text", "p.q": "pq"}) == {"id": 1, "text": "a b", "pq": 2, "__id": 3}
    assert fields(rename={"note": "id", "id": "note"}) == {"id": "a b", "note": 1, "p%2Eq": 2, "__id": 3}
    assert Shape(Rules(exclude=frozenset(ROW))).json(event()) == b"{}"


def test_two_columns_in_one_field() -> None:
    with pytest.raises(DocumentError, match="several columns end in one field: id"):
        fields(rename={"note": "id"})


def test_a_filter_sees_the_row_and_a_delete_stays_one() -> None:
    condition = Condition(column="note", op="=", value="a b")
    shape = Shape(Rules(filter=(condition,), exclude=frozenset({"note"})))
    assert shape.selective
    assert not shape.plain
    assert shape.fields(event()) == {"id": 1, "p%2Eq": 2, "__id": 3}
    assert shape.fields(event({**ROW, "note": "else"})) is None
    assert shape.fields(event(None)) is None
    assert shape.exists(event())
    assert not shape.exists(event({**ROW, "note": "else"}))


def test_all_conditions_have_to_hold() -> None:
    both = (Condition(column="id", op=">", value=0), Condition(column="note", op="!=", value="x"))
    assert fields(filter=both)
    assert fields({"id": 0, "note": "y"}, filter=both) is None
    assert fields({"id": 1, "note": "x"}, filter=both) is None


def test_a_transform_makes_the_row() -> None:
    made = fields(transform="transforms:upper", exclude=frozenset({"p.q", "_id"}), rename={"words": "terms"})
    assert made == {"id": 1, "note": "A B", "terms": ["a", "b"], "table": "orders"}
    assert fields({"id": 1, "note": ""}, transform="transforms:upper") is None
    assert fields(None, transform="transforms:raises") is None
    assert fields(transform="transforms:changing")["note"] == "changed"


def test_what_a_transform_returns_cannot_pass_for_ours() -> None:
    assert fields({"id": 1, "_cdc": {}, "note": "x"}, transform="transforms:upper")["__cdc"] == {}


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("raises", "`transforms:raises` raised LookupError: not here"),
        ("returns_a_list", "`transforms:returns_a_list` returned a list"),
        ("returns_numbered_fields", "`transforms:returns_numbered_fields` returned a dict, and neither"),
        ("returns_no_json", "`transforms:returns_no_json` returned what is no JSON: Type is not JSON serializable"),
    ],
)
def test_a_transform_that_fails_is_named(function: str, said: str) -> None:
    shape = Shape(Rules(transform=f"transforms:{function}"))
    with pytest.raises(DocumentError) as caught:
        shape.json(event())
    assert said in str(caught.value)
    assert caught.value.kind == "transform_exception"
    assert shape.exists(event())  # a dead letter, which the audit has to know of


@pytest.mark.parametrize("path", ["nowhere:f", "transforms:nobody", "transforms:NO_FUNCTION"])
def test_a_transform_that_is_not_there(path: str) -> None:
    settings = SinkSettings.model_validate({"tables": {"shop.orders": {"transform": path}}})
    with pytest.raises(ConfigError, match=f"the transform `{path}`"):
        Shapes(settings)


def test_names_made_up_without_end_are_not_kept() -> None:
    shape = Shape(Rules(exclude=frozenset({"none"})))
    for number in range(25_000):
        shape.fields(event({f"c{number}": 1}))
    assert len(shape._fields) < 15_000
    assert shape.fields(event()) == PLAIN.fields(event())


def test_shapes_of_the_settings() -> None:
    settings = SinkSettings.model_validate(
        {
            "tables": {
                "shop.orders": {"fields": {"exclude": ["note"]}, "filter": [{"column": "id", "op": ">", "value": 0}]}
            }
        }
    )
    shapes = Shapes(settings)
    assert shapes.of(TABLE) is shapes.of(TABLE)
    assert shapes.of(TABLE).fields(event()) == {"id": 1, "p%2Eq": 2, "__id": 3}
    assert Shapes(SinkSettings()).of(TABLE) is PLAIN


def test_routing_is_implied_by_the_id() -> None:
    one = Routing(("shop",), ("shop", "id"))
    assert one.of('["a,b",7]') == "a,b"
    assert one.of('["",7]') == '""'
    assert one.of("[5,7]") == "5"
    assert Routing(("id", "shop"), ("shop", "x", "id")).of('["a",1,7]') == '["a",7]'
    assert one.of("sha256:" + "0" * 64) == "sha256:" + "0" * 64


@pytest.mark.parametrize("id_", ["42", "a b", "{}", "null", "[]", "[7]", '["a",7,1]', "[", '"a"'])
def test_an_id_from_before_the_primary_key_was_changed_is_its_own_routing(id_: str) -> None:
    assert Routing(("shop",), ("shop", "id")).of(id_) == id_


def test_the_mapping_follows_the_fields() -> None:
    rules = Rules(
        exclude=frozenset({"id"}), rename={"NOTE": "text"}, analyzers={"note": "english"},
        types={"p.q": {"type": "keyword"}, "words": {"type": "keyword"}}, transform="transforms:upper", routing=("id",),
    )  # fmt: skip
    made = table_mapping(TABLE, rules)
    properties = made["properties"]
    assert set(properties) == {"text", "p%2Eq", "words", "_cdc"}
    assert properties["text"] == {**table_mapping(TABLE)["properties"]["note"], "analyzer": "english"}
    assert properties["p%2Eq"] == {"type": "keyword"}
    assert made["_routing"] == {"required": True}
    assert "_routing" not in table_mapping(TABLE)


def test_json_of_dates_and_of_nothing() -> None:
    assert orjson.loads(Shape(Rules(transform="transforms:dated")).json(event()) or b"") == {"day": "2026-11-21"}
    assert Shape(Rules(transform="transforms:nothing_much")).json(event()) == b"{}"


def test_rules_that_make_other_documents_are_told_apart() -> None:
    some = [
        Rules(include=frozenset({"id"})), Rules(exclude=frozenset({"id"})), Rules(rename={"id": "x"}),
        Rules(filter=(Condition(column="id", op="=", value=1),)),
        Rules(filter=(Condition(column="id", op="=", value="1"),)),
        Rules(transform="transforms:upper"), Rules(include=frozenset()),
    ]  # fmt: skip
    assert len({rules.mark for rules in some} - {""}) == len(some)
    assert Rules(exclude=frozenset("ab")).mark == Rules(exclude=frozenset("BA")).mark
    assert Rules(types={"id": {"type": "keyword"}}, routing=("id",), analyzers={"id": "x"}).mark == ""
