"""`tidemark audit run | report | repair`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from auditor import shelf
from auditor.audit import audit, red
from auditor.duration import seconds
from auditor.every import Done, serve
from auditor.lock import locked
from auditor.repair import repair as repair_report
from auditor.report_json import to_json
from auditor.report_text import show, show_repair
from auditor.run_context import Context
from ops.config import load
from ops.log import configure
from ops.settings import Settings
from schemas.errors import ExitCode, TidemarkError, UsageError
from schemas.report import AuditReport, AuditStatus, RepairReport

app = typer.Typer(no_args_is_help=True)

_Config = Annotated[Path | None, typer.Option("-c", "--config", help="The configuration file.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
_EXIT = {
    AuditStatus.CLEAN: ExitCode.OK,
    AuditStatus.FINDINGS: ExitCode.FINDINGS,
    AuditStatus.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
}


@app.command()
def run(
    tables: Annotated[list[str] | None, typer.Argument(help="Tables, `db.table` or a pattern; all by default.")] = None,
    *,
    config: _Config = None,
    as_json: _Json = False,
    output: Annotated[Path | None, typer.Option("--output", help="Write the JSON report to this file too.")] = None,
    every: Annotated[str | None, typer.Option("--every", help="Run as a service: 30s, 15m, 1h, 1d.")] = None,
    with_repair: Annotated[bool, typer.Option("--repair", help="Then repair what was found; a dry run.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="With --repair: write.")] = False,
) -> None:
    """Prove that the index holds what the topics say. Exit code 0 clean, 4 findings, 8 inconclusive."""
    if apply and not with_repair:
        raise UsageError("--apply is for --repair", hint="Write `tidemark audit run --repair --apply`.")
    settings = load(config).settings

    def once(context: Context) -> Done:
        done = _audit(context, tables or (), with_repair=with_repair, apply=apply)
        _print(done.report, as_json=as_json)
        if output is not None:
            shelf.write(output, to_json(done.report))
        return done

    if every is not None:
        serve(settings, seconds(every), once)
        return
    done = once(_context(settings))
    if done.refused is not None:
        raise done.refused
    _leave(_left(done.report))


def _audit(context: Context, tables: list[str] | tuple[()], *, with_repair: bool, apply: bool) -> Done:
    """Audit, keep the report, then repair: a repair that refuses takes nothing away from what was found."""
    with locked(context.settings.source.name):
        report = audit(context, tables)
        shelf.keep(report)
        if not with_repair or not red(report):
            return Done(report)
        try:
            report = report.model_copy(update={"repair": repair_report(context, report, apply=apply)})
        except TidemarkError as error:
            return Done(report, error)
        shelf.keep(report)
    return Done(report)


def _left(report: AuditReport) -> AuditStatus:
    """What was found and then repaired is not left."""
    done = report.repair
    if done is not None and done.applied and report.status is AuditStatus.FINDINGS:
        return done.status
    return report.status


@app.command()
def report(
    file: Annotated[Path | None, typer.Argument(help="A JSON report; by default the last one.")] = None,
    *,
    last: Annotated[bool, typer.Option("--last", help="The last one; the default.")] = False,
    config: _Config = None,
    as_json: _Json = False,
) -> None:
    """Show a report again. The exit code is the audit's."""
    if last and file is not None:
        raise UsageError("give either --last or a file")
    found = shelf.read(file) if file is not None else shelf.last(load(config).settings.source.name)
    _print(found, as_json=as_json)
    _leave(_left(found))


@app.command()
def repair(
    *,
    config: _Config = None,
    file: Annotated[Path | None, typer.Option("--report", help="A JSON report; by default the last one.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write; without it this is a dry run.")] = False,
    as_json: _Json = False,
) -> None:
    """Mend what an audit found: index events again, delete orphans. Exit code 4 if something is left, 8 unproven."""
    settings = load(config).settings
    context = _context(settings)
    with locked(settings.source.name):
        found = shelf.read(file) if file is not None else shelf.last(settings.source.name)
        done = repair_report(context, found, apply=apply)
    _print_repair(done, as_json=as_json)
    if apply:
        _leave(done.status)


def _context(settings: Settings) -> Context:
    configure(settings.service.log_format, settings.service.log_level, service="audit", pipeline=settings.source.name)
    return Context(settings=settings)


def _print(found: AuditReport, *, as_json: bool) -> None:
    if as_json:
        typer.echo(to_json(found))
    else:
        show(found, Console(highlight=False))


def _print_repair(done: RepairReport, *, as_json: bool) -> None:
    if as_json:
        typer.echo(to_json(done))
    else:
        show_repair(done, Console(highlight=False))


def _leave(status: AuditStatus) -> None:
    if status is not AuditStatus.CLEAN:
        raise typer.Exit(int(_EXIT[status]))
