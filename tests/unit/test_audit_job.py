"""The examples for cron and systemd, and the how-to, say what the command takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from auditor.commands import app
from auditor.report_metrics import registry
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


def test_every_metric_is_described() -> None:
    made = registry(report(table()), {"s.t": 1.0})
    names = {metric.name for metric in made.collect()}
    assert names == described()


def described() -> set[str]:
    text = (ROOT / PLACES[2]).read_text()
    return set(re.findall(r"`(tidemark_audit_\w+)`", text))
