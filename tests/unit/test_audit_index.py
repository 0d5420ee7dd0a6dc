"""Whether an audit's index is there."""

from __future__ import annotations

from typing import Any

import pytest

from auditor.index import find
from auditor.requests import Requests
from auditor.run_context import Context
from fake_elastic import FakeCluster
from ops.settings import Settings
from schemas.errors import UnreachableError

GONE = (404, {"error": {"type": "index_not_found_exception", "reason": "no such index"}, "status": 404})
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
