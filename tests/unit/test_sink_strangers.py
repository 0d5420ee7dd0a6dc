"""Sections of the configuration for tables that are not captured."""

from __future__ import annotations

import pytest

from schemas.errors import ConfigError
from sink.strangers import refuse_other_case, strangers

CAPTURED = {"shop.orders", "shop.Users"}


@pytest.mark.parametrize(
    ("configured", "said"),
    [
        ({"shop.orders"}, {}),
        ({"shop.order"}, {"shop.order": "is shop.orders meant?"}),
        ({"shop.orders", "other.thing"}, {"other.thing": "nothing of it holds"}),
    ],
)
def test_what_is_of_no_captured_table_is_told(configured: set[str], said: dict[str, str]) -> None:
    found = dict(strangers(configured, CAPTURED))
    assert found.keys() == said.keys()
    assert all(found[name].endswith(text) for name, text in said.items())


def test_before_anything_is_captured_nothing_is_misspelt() -> None:
    assert not dict(strangers({"shop.orders"}, ()))


def test_capitals_alone_are_refused() -> None:
    refuse_other_case({"shop.Users", "shop.users", "shop.order"}, CAPTURED)  # the captured one has a section too
    with pytest.raises(ConfigError, match=r"is shop\.Users meant"):
        refuse_other_case({"shop.users"}, CAPTURED)
