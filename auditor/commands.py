"""`tidemark audit run | report | repair`."""

from __future__ import annotations

from typing import Annotated

import typer
from prometheus_client import REGISTRY

from auditor import printing, report_command
from auditor.every import serve
from auditor.interrupts import interruptible
from auditor.lock import locked
from auditor.outputs import Outputs
from auditor.partitions import partitions as numbers
from auditor.printing import Config, Html, Json, Output
from auditor.repair import repair as repair_report
from auditor.report_metrics import Served
from auditor.round import Done, Round, left
from auditor.run_context import Context
from auditor.since import since as parsed_since
from ops.config import load
from ops.duration import seconds
from ops.log import configure
from ops.settings import Settings
from schemas.errors import UsageError
from schemas.report import Against, AuditStatus

app = typer.Typer(no_args_is_help=True)
app.command()(report_command.report)


@app.command()
def run(
    tables: Annotated[list[str] | None, typer.Argument(help="Tables, `db.table` or a pattern; all by default.")] = None,
    *,
    config: Config = None,
    as_json: Json = False,
    output: Output = None,
    html: Html = None,
    partitions: Annotated[str | None, typer.Option("--partitions", help="Only these of every topic: 0-2,5.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Only what was published since: 2h, a time, clean, or 0:1200,1:900.")
    ] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read every document too: versions and fields.")] = False,
    against: Annotated[
        Against, typer.Option("--against", help="The index with its topic or with mysql; the topic with the binlog.")
    ] = Against.TOPIC,
    every: Annotated[str | None, typer.Option("--every", help="Run as a service: 30s, 15m, 1h, 1d.")] = None,
    with_repair: Annotated[bool, typer.Option("--repair", help="Then repair what was found; a dry run.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="With --repair: write.")] = False,
) -> None:
    """Prove that the index holds what the topics say. Exit code 0 clean, 4 findings, 8 inconclusive."""
    if apply and not with_repair:
        raise UsageError("--apply is for --repair", hint="Write `tidemark audit run --repair --apply`.")
    if against is not Against.TOPIC and (with_repair or deep or partitions is not None or since is not None):
        raise UsageError("--repair, --deep, --partitions and --since are for an audit against the topic")
    settings = load(config).settings
    if against is not Against.TOPIC and settings.sink.format != "tidemark":
        raise UsageError("--against is for tidemark's own topics", hint="Audit against the topic, and with --deep.")
    only = None if partitions is None else numbers(partitions)
    begin = None if since is None else parsed_since(since)
    one = Round(
        tables=tables or (),
        partitions=only,
        deep=deep,
        since=begin,
        against=against,
        with_repair=with_repair,
        apply=apply,
    )

    served = None if every is None else Served()

    def once(context: Context) -> Done:
        done = one.once(context, Outputs(context, output=output, html=html, some=tables or (), served=served))
        printing.report(done.report, as_json=as_json)
        return done

    Outputs(Context(settings=settings), output=output, html=html).check()
    if every is not None and served is not None:
        REGISTRY.register(served)
        serve(settings, seconds(every), once)
        return
    context = _context(settings)
    with interruptible(context.stop):
        done = once(context)
    _leave(done)


def _leave(done: Done) -> None:
    """Findings are said before anything that went wrong with the report, whose errors are in the log."""
    if done.refused is not None:
        raise done.refused
    status = left(done.report)
    if status is AuditStatus.CLEAN and done.undelivered is not None:
        raise done.undelivered
    printing.leave(status)


@app.command()
def repair(
    *,
    config: Config = None,
    report: Annotated[
        str | None, typer.Option("--report", help="A JSON report, or an audit's id; by default the last one.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write; without it this is a dry run.")] = False,
    as_json: Json = False,
) -> None:
    """Mend what an audit found: index events again, delete orphans.

    Exit code 4 if something is left, or would be written in a dry run; 8 if the audit could not prove a table.
    """
    settings = load(config).settings
    context = _context(settings)
    with locked(settings.source.name), interruptible(context.stop):
        done = repair_report(context, report_command.find(context, report), apply=apply)
    printing.repair(done, as_json=as_json)
    printing.leave(done.status)


def _context(settings: Settings) -> Context:
    configure(settings.service.log_format, settings.service.log_level, service="audit", pipeline=settings.source.name)
    return Context(settings=settings)
