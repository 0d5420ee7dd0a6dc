"""What the audit's commands have in common: their options, what they print, how they leave."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from auditor.report_json import to_json
from auditor.report_text import show, show_list, show_repair
from schemas.audits import AuditList
from schemas.errors import ExitCode
from schemas.report import AuditReport, AuditStatus, RepairReport

Config = Annotated[Path | None, typer.Option("-c", "--config", help="The configuration file.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Output = Annotated[Path | None, typer.Option("--output", help="Write the JSON report to this file too.")]
Html = Annotated[Path | None, typer.Option("--html", help="Write the report as a page to this file too.")]
_EXIT = {
    AuditStatus.CLEAN: ExitCode.OK,
    AuditStatus.FINDINGS: ExitCode.FINDINGS,
    AuditStatus.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
}


def report(found: AuditReport, *, as_json: bool) -> None:
    if as_json:
        typer.echo(to_json(found))
    else:
        show(found, Console(highlight=False))


def repair(done: RepairReport, *, as_json: bool) -> None:
    if as_json:
        typer.echo(to_json(done))
    else:
        show_repair(done, Console(highlight=False))


def audits(found: AuditList, *, as_json: bool) -> None:
    if as_json:
        typer.echo(to_json(found))
    else:
        show_list(found, Console(highlight=False))


def leave(status: AuditStatus) -> None:
    """End with the exit code of that status."""
    if status is not AuditStatus.CLEAN:
        raise typer.Exit(int(_EXIT[status]))
