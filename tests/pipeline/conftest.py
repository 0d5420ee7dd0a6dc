"""The pipeline's tests run on both engines."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def engine_of_processes(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test starts reads the binlog with this engine."""
    monkeypatch.setenv("TIDEMARK_CDC__ENGINE", engine)
