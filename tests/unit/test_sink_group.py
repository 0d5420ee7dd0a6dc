"""Which way of sharing partitions a sink takes."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from ops.settings import Settings
from schemas.errors import RefusedError
from sink import membership

SHORT = {"group.coordinator.rebalance.protocols": "classic,consumer", "group.consumer.session.timeout.ms": "6000"}
LONG = {**SHORT, "group.consumer.session.timeout.ms": "45000"}
OFF = {**SHORT, "group.coordinator.rebalance.protocols": "classic"}


class Admin:
    """Brokers with these settings; None: they do not tell."""

    def __init__(self, settings: dict[str, str] | None) -> None:
        self._settings = settings

    def list_topics(self, *, timeout: float) -> Any:
        return SimpleNamespace(brokers={1: None})

    def describe_configs(self, resources: list[Any], **_more: Any) -> dict[Any, Future[Any]]:
        future: Future[Any] = Future()
        if self._settings is None:
            future.set_exception(RefusedError("no"))
        else:
            future.set_result({name: SimpleNamespace(value=value) for name, value in self._settings.items()})
        return {resources[0]: future}


@pytest.mark.parametrize(
    ("wanted", "brokers", "protocol", "lease_s", "why"),
    [
        ("auto", SHORT, "consumer", 3.5, "are quick"),
        ("auto", LONG, "classic", 3.5, "after 45 s only"),
        ("auto", OFF, "classic", 3.5, "do not assign"),
        ("auto", {}, "classic", 3.5, "do not assign"),
        ("auto", None, "classic", 3.5, "do not tell"),
        ("consumer", LONG, "consumer", 29.5, "says so"),
        ("consumer", None, "consumer", 3.5, "says so"),
        ("classic", SHORT, "classic", 3.5, "says so"),
    ],
)
def test_the_brokers_assign_where_they_can_and_are_quick(
    monkeypatch: pytest.MonkeyPatch,
    wanted: str,
    brokers: dict[str, str] | None,
    protocol: str,
    lease_s: float,
    why: str,
) -> None:
    monkeypatch.setattr(membership, "admin", lambda *_: Admin(brokers))
    settings = Settings.model_validate({"source": {"name": "s"}, "sink": {"group_protocol": wanted}})
    found = membership.membership(settings)
    assert found.protocol == found.client.get("group_protocol", "classic") == protocol
    assert why in found.why
    assert ("session_timeout_ms" in found.client) == (protocol == "classic")
    assert found.lease_s == lease_s
