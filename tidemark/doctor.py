"""`tidemark doctor`: everything that could go wrong, said at once, each with what to paste."""

from __future__ import annotations

from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.text import Text

import cdc.checks
import sink.checks
from ops.checks import Finding, Severity
from ops.config import load
from schemas.errors import ExitCode
from tidemark.config_commands import ConfigPath

_MARKS = {Severity.OK: ("ok  ", "green"), Severity.WARN: ("warn", "yellow"), Severity.FAIL: ("FAIL", "bold red")}


def doctor(
    config: ConfigPath = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check MySQL, Kafka and Elasticsearch; all findings at once, with the exact remedy. Exit code 4 if any fails."""
    settings = load(config).settings
    findings = [*cdc.checks.findings(settings), *sink.checks.findings(settings)]
    failed = any(finding.severity is Severity.FAIL for finding in findings)
    if as_json:
        rows = [finding.to_json() for finding in findings]
        typer.echo(orjson.dumps({"schema": "tidemark.doctor/1", "ok": not failed, "findings": rows}))
    else:
        _print(findings)
    if failed:
        raise typer.Exit(int(ExitCode.FINDINGS))


def _print(findings: list[Finding]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        mark, style = _MARKS[finding.severity]
        console.print(Text.assemble((mark, style), f"  {finding.what}", (f"  {finding.where}", "dim")))
        for line in finding.remedy.splitlines():
            console.print(Text(f"        {line}", style="bold"))
