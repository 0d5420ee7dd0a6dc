"""Who reads the records of topics, and how it is told."""

from __future__ import annotations

import os

import pytest

from ops.settings import Settings
from schemas import extension
from schemas.extension import reader
from sink.checks import _records


def test_the_extension_is_there() -> None:
    """Other tests are skipped without it."""
    if extension.EXTENSION is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"it is not installed: {extension.MISSING}")
    assert not extension.MISSING
    assert extension.EXTENSION.intake
    assert extension.EXTENSION.skim


def test_it_is_read_natively_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extension, "MISSING", "")
    assert str(reader(foreign=False)) == "records are read natively: the extension is installed"
    assert reader(foreign=True).name == "python"


@pytest.mark.parametrize(
    ("form", "missing", "severity", "said"),
    [
        ("tidemark", "", "ok", "natively"),
        ("tidemark", "no module", "warn", "not installed: no module"),
        ("debezium", "", "ok", "by Python"),
        ("debezium", "no module", "ok", "by Python"),
    ],
)
def test_the_doctor_says_who_reads(
    monkeypatch: pytest.MonkeyPatch, form: str, missing: str, severity: str, said: str
) -> None:
    monkeypatch.setattr(extension, "MISSING", missing)
    found = _records(
        Settings.model_validate(
            {
                "source": {"name": "s", "host": "127.0.0.1", "port": 1, "user": "u", "password": "p"},
                "kafka": {"bootstrap_servers": "127.0.0.1:1"},
                "sink": {"format": form},
            }
        )
    )
    assert (found.check, found.severity) == ("records", severity)
    assert said in found.what
    assert ("TIDEMARK_NATIVE=require" in found.remedy) == (severity == "warn")
