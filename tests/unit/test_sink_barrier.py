"""A barrier's sweep against a scripted cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fake_elastic import FakeCluster
from schemas.errors import IndexMissingError, UnknownOutcomeError, UnreachableError, UnsafeError
from sink import barrier
from sink_kit import BASE, part_of

ALIAS = "shop.shop.orders"
OK = {"_shards": {"total": 1, "successful": 1, "failed": 0}}
Answer = tuple[int, Any]


def failure(kind: str, *causes: str) -> dict[str, Any]:
    return {
        "error": {"type": kind, "reason": "scripted", "root_cause": [{"type": cause} for cause in causes or [kind]]}
    }


class Index(FakeCluster):
    """One index: every page of a search takes what is left. `told`: path -> what to answer there instead, in turn."""

    def __init__(self, documents: int = 3) -> None:
        super().__init__()
        self.docs = {f"d{number}": (1, {}) for number in range(documents)}
        self.told: dict[str, list[Answer | None]] = {}
        self.api_rule = self._rule
        self.missing = False

    def _rule(self, method: str, path: str) -> Answer:
        told = self.told.get(path)
        answer = told.pop(0) if told else None
        if answer:
            return answer
        if path == "/_pit":
            return 200, {"id": "p"} if method == "POST" else {"succeeded": True, "num_freed": 1}
        if path.endswith("/_pit"):
            return 200, {"id": "p"}
        if path.endswith("/_search"):
            hits = [{"_id": name, "sort": [number]} for number, name in enumerate(self.docs)]
            return 200, {"timed_out": False, **OK, "hits": {"total": {"value": len(hits)}, "hits": hits}}
        return 200, OK

    def verify(self, alias: str) -> None:
        if self.missing:
            raise IndexMissingError("it is gone", where=alias)

    def apply(self, wanted: Callable[[], bool] = lambda: True) -> None:
        barrier.apply(self.cluster, part_of(topic=ALIAS), BASE, wanted)

    def is_empty(self) -> bool:
        return barrier.is_empty(self.cluster, part_of(topic=ALIAS))

    @property
    def cluster(self) -> barrier.Cluster:
        return barrier.Cluster(client=self.client(), where="es", verify=self.verify)


def test_a_sweep_deletes_with_the_barrier_as_version() -> None:
    index = Index()
    index.apply()
    assert not index.docs
    assert set(index.versions.values()) == {BASE}
    assert index.is_empty()


def test_a_point_in_time_that_is_gone_is_opened_again() -> None:
    """A restart ends it, and so does its age; both the next page and the closing say so."""
    index = Index()
    gone = (404, failure("search_phase_execution_exception", "search_context_missing_exception"))
    index.told = {"/_search": [None, gone], "/_pit": [(404, {"succeeded": False, "num_freed": 0})]}
    with pytest.raises(UnreachableError):
        index.apply()
    index.apply()
    assert not index.docs


def test_closing_the_point_in_time_changes_nothing() -> None:
    index = Index()
    index.told = {"/_pit": [(404, {"succeeded": False, "num_freed": 0})]}
    index.apply()
    assert not index.docs


@pytest.mark.parametrize("path", [f"/{ALIAS}/_refresh", f"/{ALIAS}/_pit", "/_search"])
def test_an_index_that_is_missing_only_while_a_node_comes_up(path: str) -> None:
    index = Index()
    index.told = {path: [(404, failure("index_not_found_exception"))]}
    with pytest.raises(UnreachableError):
        index.apply()
    index.told = {path: [(404, failure("index_not_found_exception"))]}
    index.missing = True
    with pytest.raises(IndexMissingError):
        index.apply()


def test_deletes_that_find_no_index_look_for_it_first() -> None:
    index = Index()
    index.item_rule = lambda _operation, _target: (404, "index_not_found_exception")
    with pytest.raises(UnreachableError):
        index.apply()
    index.missing = True
    with pytest.raises(IndexMissingError):
        index.apply()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((400, "index_closed_exception"), IndexMissingError),
        ((418, "teapot"), UnknownOutcomeError),
        ((429, "x"), UnreachableError),
    ],
)
def test_deletes_that_are_refused(answer: tuple[int, str], error: type[Exception]) -> None:
    index = Index()
    index.item_rule = lambda _operation, _target: answer
    with pytest.raises(error):
        index.apply()


def test_what_nobody_has_decided_stops_a_sweep() -> None:
    index = Index()
    index.told = {"/_search": [(500, failure("null_pointer_exception"))]}
    with pytest.raises(UnsafeError):
        index.apply()


def test_a_sweep_ends_when_it_is_not_wanted_any_more() -> None:
    index = Index()
    with pytest.raises(UnreachableError, match="interrupted"):
        index.apply(lambda: False)
    assert index.docs


def test_a_long_sweep_does_some_of_it_at_a_time() -> None:
    index = Index()
    page = {"timed_out": False, **OK, "hits": {"hits": [{"_id": "d0", "sort": [0]}]}}
    index.told = {"/_search": [(200, page)]}
    part = part_of(topic=ALIAS)
    assert not barrier.apply(index.cluster, part, BASE, lambda: True, most_s=0)
    assert set(index.docs) == {"d1", "d2"}
    assert not barrier.apply(index.cluster, part, BASE, lambda: True, most_s=0)  # the last page, as it turns out
    assert barrier.apply(index.cluster, part, BASE, lambda: True, most_s=0)
    assert not index.docs


@pytest.mark.parametrize("at", [0, 1])
def test_a_refresh_that_failed_on_a_shard_is_none(at: int) -> None:
    index = Index()
    failed = {"_shards": {"total": 2, "successful": 1, "failed": 1}}
    index.told = {f"/{ALIAS}/_refresh": [None] * at + [(200, failed)]}
    with pytest.raises(UnreachableError):
        index.apply()
    index.told = {f"/{ALIAS}/_refresh": [(200, failed)]}
    with pytest.raises(UnreachableError):
        index.is_empty()
