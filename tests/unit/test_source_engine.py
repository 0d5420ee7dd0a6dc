"""Which engine runs, and why."""

from __future__ import annotations

import pytest

from cdc.checks import _engine_findings
from cdc.source import engine
from cdc.source.engine import chosen
from ops.settings import Settings
from schemas.errors import ConfigError


def test_what_is_asked_for_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MISSING", "")
    assert chosen("native").name == "native"
    assert chosen("auto") == ("native", "it is installed")
    assert chosen("portable").name == "portable"


def test_without_the_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MISSING", "no module")
    assert chosen("auto") == ("portable", "the native engine is not installed: no module")
    with pytest.raises(ConfigError, match="not installed") as caught:
        chosen("native")
    assert "TIDEMARK_NATIVE=require" in caught.value.hint


@pytest.mark.parametrize(
    ("wanted", "missing", "severity"),
    [
        ("auto", "", "ok"),
        ("auto", "no module", "warn"),
        ("portable", "no module", "ok"),
        ("native", "no module", "fail"),
    ],
)
def test_the_doctor_says_which_engine_runs(
    monkeypatch: pytest.MonkeyPatch, wanted: str, missing: str, severity: str
) -> None:
    monkeypatch.setattr(engine, "MISSING", missing)
    nowhere = {"host": "127.0.0.1", "port": 1, "user": "u", "password": "p"}
    settings = Settings.model_validate(
        {"source": {"name": "s", **nowhere}, "kafka": {"bootstrap_servers": "127.0.0.1:1"}, "cdc": {"engine": wanted}}
    )
    found, *_ = _engine_findings(settings)
    assert (found.check, found.severity) == ("engine", severity)
    assert ("TIDEMARK_NATIVE=require" in found.remedy) == (severity != "ok")
    if missing and wanted != "portable":
        assert missing in found.what
