"""Whether an audit's index is there."""

from __future__ import annotations

from typing import Any

import pytest

from auditor.index import find
from auditor.requests import Requests
from auditor.run_context import Context
from fake_elastic import FakeCluster
from ops.settings import Settings
from schemas.errors import InconclusiveError, UnreachableError

GONE = (404, {"error": {"type": "index_not_found_exception", "reason": "no such index"}, "status": 404})
FOUND = (200, {"one": {"aliases": {}}, "other": {"aliases": {}}})
NO_MASTER = (503, {"error": {"type": "cluster_block_exception", "reason": "no master"}, "status": 503})
SETTINGS = Settings.model_validate({"source": {"name": "s"}, "service": {"start_timeout_s": 0.01}})


def found(resolved: tuple[int, Any]) -> object:
    cluster = FakeCluster()
    cluster.api_rule = lambda _method, path: resolved if path.startswith("/_resolve") else GONE
    return find(Requests(Context(settings=SETTINGS)), cluster.client(), "s.shop.orders")


def test_one_that_is_not_there_is_none() -> None:
    assert found(GONE) is None


def test_a_node_without_a_master_does_not_say() -> None:
    """Else a table without rows would be clean, whatever its index holds."""
    with pytest.raises(UnreachableError):
        found(NO_MASTER)


def test_a_master_that_was_elected_meanwhile_is_asked() -> None:
    cluster, asked = FakeCluster(), []

    def answer(_method: str, path: str) -> tuple[int, Any]:
        asked.append(path)
        return FOUND if path.startswith("/_resolve") else (GONE, FOUND)[len(asked) > 1]

    cluster.api_rule = answer
    with pytest.raises(InconclusiveError, match="2 indices are behind the alias"):
        find(Requests(Context(settings=SETTINGS)), cluster.client(), "s.shop.orders")
    assert len(asked) == 3


def test_one_that_is_there_and_is_not_is_not_gone() -> None:
    with pytest.raises(UnreachableError, match="is there, and is not"):
        found(FOUND)
