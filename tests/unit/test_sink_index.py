"""Where an alias leads, as a node says that knows, and one that does not."""

from __future__ import annotations

from typing import Any

import pytest

from fake_elastic import FakeCluster
from ops.settings import SinkSettings
from schemas.errors import IndexForeignError, IndexMissingError, UnreachableError
from sink.index import Indices

GONE = (404, {"error": {"type": "index_not_found_exception", "reason": "no such index"}})


def indices(resolved: tuple[int, Any]) -> Indices:
    cluster = FakeCluster()
    cluster.api_rule = lambda _method, path: resolved if path.startswith("/_resolve") else GONE
    return Indices(cluster.client(), SinkSettings(), "shop", "here")


def test_what_is_gone_is_gone() -> None:
    with pytest.raises(IndexMissingError):
        indices(GONE).verify("shop.shop.orders")


def test_a_node_without_a_master_knows_of_no_index() -> None:
    """It says 404 to who asks for one (Elasticsearch 9.5), and 503 to who asks what a name means."""
    with pytest.raises(UnreachableError):
        indices((503, {"error": {"type": "cluster_block_exception", "reason": "no master"}})).verify("shop.shop.orders")


def test_a_master_that_was_elected_meanwhile_is_asked() -> None:
    found = indices((200, {"indices": [], "aliases": [{"name": "shop.shop.orders"}], "data_streams": []}))
    with pytest.raises(UnreachableError, match="no such index, and"):
        found.verify("shop.shop.orders")
    cluster, asked = FakeCluster(), []

    def answer(_method: str, path: str) -> tuple[int, Any]:
        asked.append(path)
        return GONE if len(asked) == 1 else (200, {"one": {"aliases": {}}, "other": {"aliases": {}}})

    cluster.api_rule = answer
    with pytest.raises(IndexForeignError, match="2 indices"):
        Indices(cluster.client(), SinkSettings(), "shop", "here").verify("shop.shop.orders")
    assert len(asked) == 3
