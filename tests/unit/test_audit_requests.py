"""The audit's requests: no faster than allowed, slower after every 429."""

from __future__ import annotations

from typing import Any

import pytest

from auditor.requests import Requests
from auditor.run_context import Context
from fake_elastic import FakeCluster
from ops.settings import Settings
from ops.stop import Stop


class Clock(Stop):
    """Waits in no time; `waited_s` is what it was asked to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("auditor.requests.time.monotonic", lambda: clock.now)
    return clock


def settings() -> Settings:
    source = {"name": "a", "host": "h", "user": "u", "password": "p"}
    return Settings.model_validate({"source": source, "audit": {"max_requests_per_s": 10}})


def test_a_busy_cluster_slows_it_down(clock: Clock) -> None:
    cluster = FakeCluster()
    busy: list[bool] = []

    def rule(_method: str, _path: str) -> tuple[int, Any]:
        if busy and busy.pop():
            return 429, {"error": {"type": "es_rejected_execution_exception", "reason": "full"}, "status": 429}
        return 200, {}

    cluster.api_rule = rule
    client = cluster.client()
    requests = Requests(Context(settings=settings(), stop=clock))

    def send(count: int) -> float:
        began = clock.now
        for _ in range(count):
            requests.send("asking", lambda: client.perform_request("GET", "/x", headers={"accept": "application/json"}))
        return clock.now - began

    assert send(10) == 0  # a second's worth
    assert send(11) == pytest.approx(2.0)
    assert not requests.refused()
    busy[:] = [True] * 3
    send(1)
    assert requests.refused()
    assert not requests.refused()
    slowed_s = send(5)
    assert slowed_s > 1.5  # 0.1 s between requests became 0.8 s, and shrinks
    send(40)
    assert send(10) == pytest.approx(1.0)
    assert requests.count == 10 + 11 + 4 + 5 + 40 + 10
