"""A row's text, out of its event: the right one, whatever JSON columns hold."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.differences import differences
from auditor.digest import digest
from auditor.events import Event
from auditor.wanted import Wanted
from schemas.event import ChangeEvent
from schemas.row_text import row_text
from schemas.shape import Rules, Shape
from sink.action import Actions
from sink.part import item_of as read_item
from sink_kit import BASE, part_of, raw_key

DIGITS = b'{"id":"a","doc":{"n":123456789012345678901234567890,"d":[0.12345678901234567890123,12345678901234567.89]}}'
NAMES = st.sampled_from(["after", "before", "source", "a", '},"after":{', '},"source":{', "\\", '"'])
DOCS = st.recursive(
    st.none() | st.integers(-(1 << 53), 1 << 53) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
ROWS = st.fixed_dictionaries(
    {"id": st.integers(0, 9), "doc": DOCS}, optional={"source": DOCS, "after": DOCS, "z": DOCS}
)


def event(before: Any, after: Any, seq: int = BASE) -> bytes:
    """As cdc writes it; `before` and `after` may be JSON already."""
    images = [value if isinstance(value, bytes) else orjson.dumps(value) for value in (before, after)]
    assert list(ChangeEvent.__annotations__)[:3] == ["before", "after", "source"]
    source = {"version": "0", "db": 'a},"source":{', "table_version": 1, "ts_ms": 1, "seq": seq, "omitted": ["source"]}
    more = {"transaction": {"id": '},"source":{', "total_order": 1}, "op": "u", "ts_ms": 1}
    return b'{"before":%b,"after":%b,"source":%b,%b' % (*images, orjson.dumps(source), orjson.dumps(more)[1:])


@given(before=st.none() | ROWS, after=ROWS)
def test_it_is_the_row(before: Any, after: Any) -> None:
    text = row_text(event(before, after))
    assert text is not None
    assert orjson.loads(text) == after


@pytest.mark.parametrize(
    "value", [b"", b"{}", b'{"op":"c","after":{"id":1}}', b'{"before":null,"after":null,"source":{}}']
)
def test_what_cannot_be_told_is_not_guessed(value: bytes) -> None:
    assert row_text(value) is None


@pytest.mark.parametrize("before", [None, {"id": "a", "doc": {"x": {}, "after": {"y": 1}}}])
@pytest.mark.parametrize("rules", [{}, {"routing": ("shop",)}, {"filter": ()}])
def test_a_document_keeps_every_digit(before: Any, rules: dict[str, Any]) -> None:
    part = part_of(shape=Shape(Rules(**rules), ("shop", "id") if rules.get("routing") else (), exact=True))
    item = read_item(
        part, 7, raw_key("a") if not rules.get("routing") else b'{"shop":"n","id":"a"}', event(before, DIGITS)
    )
    _, document = Actions(part).lines(item).splitlines()
    assert document.startswith(DIGITS[:-1] + b',"_cdc":{"key":')
    assert orjson.loads(document)["_cdc"]["offset"] == 7


def test_a_field_that_is_no_column_is_made_anew() -> None:
    part = part_of(shape=Shape(Rules(), exact=True))
    item = read_item(part, 7, raw_key("a"), event(None, {"id": "a", "p.q": 1}))
    _, document = Actions(part).lines(item).splitlines()
    assert set(orjson.loads(document)) == {"id", "p%2Eq", "_cdc"}


def test_a_deep_audit_takes_it_for_what_its_event_makes() -> None:
    """A client of Elasticsearch reads numbers over 64 bits as they are, what reads events as doubles."""
    part = part_of(shape=Shape(Rules(), exact=True))
    item = read_item(part, 7, raw_key("a"), event(None, DIGITS))
    _, document = Actions(part).lines(item).splitlines()
    envelope = orjson.loads(item.value or b"")
    wanted = Wanted("uuid", part.shape).of_event("a", Event(0, 7, envelope))
    assert wanted is not None
    assert json.loads(document)["doc"]["n"] == 123456789012345678901234567890
    assert digest(json.loads(document)) == digest(wanted)
    assert not differences(wanted, json.loads(document))
    assert differences(wanted, {**json.loads(document), "doc": {"n": 1 << 70, "d": []}})
