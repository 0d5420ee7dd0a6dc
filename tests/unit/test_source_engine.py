"""Which engine runs, and why."""

from __future__ import annotations

import pytest

from cdc.source import engine
from cdc.source.engine import chosen
from schemas.errors import ConfigError


def test_what_is_asked_for_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MISSING", "")
    assert chosen("native").name == "native"
    assert chosen("auto").name == "portable"
    assert chosen("portable").name == "portable"


def test_without_the_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MISSING", "no module")
    assert chosen("auto").name == "portable"
    with pytest.raises(ConfigError, match="not installed") as caught:
        chosen("native")
    assert "TIDEMARK_NATIVE=require" in caught.value.hint
