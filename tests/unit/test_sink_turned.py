"""What is said of an alias that leads to somebody else's index."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ops.settings import SinkSettings
from schemas.errors import IndexForeignError
from schemas.table import FORMAT
from sink.index import Indices

OURS = {"orders.000002": {"mappings": {"_meta": {"tidemark": {"format": FORMAT}}}}}
THEIRS = {"theirs": {"mappings": {}}}


def indices(*answers: dict[str, Any]) -> Indices:
    told = list(answers)
    client: Any = SimpleNamespace(
        indices=SimpleNamespace(get=lambda **_: SimpleNamespace(body=told.pop(0))), options=lambda **_: client
    )
    return Indices(client, SinkSettings(), "shop", "es")


@pytest.mark.parametrize("elsewhere", [THEIRS, {**OURS, **THEIRS}])
def test_an_alias_that_was_turned_away_is_to_be_turned_back(elsewhere: dict[str, Any]) -> None:
    """Not to be removed, nor given up for another name: that would lose the index."""
    found = indices(OURS, elsewhere)
    found.verify("orders")
    with pytest.raises(IndexForeignError) as error:
        found.verify("orders")
    assert "Let `orders` lead to orders.000002 again, and to nothing else" in error.value.hint
    assert "remove" not in error.value.hint


def test_whoever_was_not_there_before_is_told_both_ways() -> None:
    with pytest.raises(IndexForeignError) as error:
        indices(THEIRS).verify("orders")
    assert "(orders.000001, or a later one)" in error.value.hint
    assert "choose another name" in error.value.hint
