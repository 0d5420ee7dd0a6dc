"""The examples for cron and systemd, and the how-to, say what the command takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from auditor import known
from auditor.commands import app
from auditor.report_metrics import registry
from documented import audit_metrics
from reports import report, table

ROOT = Path(__file__).parents[2]
PLACES = ("deploy/cron/tidemark-audit", "deploy/systemd/tidemark-audit.service", "docs/how-to/audit-as-a-job.md")


@pytest.mark.parametrize("place", PLACES)
def test_commands_and_options_are_there(place: str) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = re.findall(r"tidemark audit (run|report|repair)\b([^#\n`)]*)", (ROOT / place).read_text())
    assert found
    for name, rest in found:
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, (name, rest)


def test_every_metric_is_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = registry(report(table()), {"s.t": 1.0}, known.upto(report(table())))
    names = {metric.name for metric in made.collect()}
    assert names == audit_metrics()
