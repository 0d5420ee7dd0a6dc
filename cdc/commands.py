"""`tidemark cdc run | tail | position show | position reset`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cdc import pipeline
from cdc.position_store import Instance, PositionStore
from cdc.reset import reset
from cdc.show import as_json_line, as_position, as_text
from cdc.start import checked_start
from cdc.tail import Tail
from ops.config import load
from ops.log import configure
from schemas.errors import ExitCode, UsageError

app = typer.Typer(no_args_is_help=True)
position_app = typer.Typer(no_args_is_help=True, help="Where the source has been read to.")
app.add_typer(position_app, name="position")

ConfigPath = Annotated[
    Path | None,
    typer.Option("-c", "--config", help="tidemark.toml; default: see the documentation.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@app.command()
def run(config: ConfigPath = None) -> None:
    """Publish every row change of the captured tables to Kafka, until asked to stop."""
    pipeline.run(load(config).settings)


@app.command()
def tail(
    tables: Annotated[
        list[str] | None, typer.Argument(help="Patterns like 'shop.*'; default: those of the configuration.")
    ] = None,
    *,
    config: ConfigPath = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    from_start: Annotated[bool, typer.Option("--from-start", help="From the oldest binlog that is kept.")] = False,
    position: Annotated[
        str | None, typer.Option("--position", help="latest, earliest, gtid:<set> or file:<name>:<position>.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "--count", "-n", min=1, help="End after so many events.")
    ] = None,
) -> None:
    """Show row changes as they are committed, straight from MySQL: no Kafka, nothing is stored."""
    if from_start and position is not None:
        raise UsageError("--from-start and --position contradict each other", hint="Give one of them.")
    settings = load(config).settings
    configure(settings.service.log_format, "warning")
    start = "earliest" if from_start else position or "latest"
    colour = sys.stdout.isatty()
    try:
        for event in Tail(settings, tables or settings.cdc.tables, start).events(limit):
            sys.stdout.write(as_json_line(event) if as_json else as_text(event, colour=colour))
            sys.stdout.flush()
    except KeyboardInterrupt:
        raise typer.Exit(int(ExitCode.INTERRUPTED)) from None


@position_app.command("reset")
def position_reset(
    config: ConfigPath = None,
    *,
    to: Annotated[str, typer.Option("--to", help="latest, earliest, gtid:<set> or file:<name>:<position>.")],
    as_json: Json = False,
) -> None:
    """Go on from another place. What lies between is lost, or published again; a running cdc is fenced."""
    settings = load(config).settings
    configure(settings.service.log_format, "warning")
    stored = reset(settings, checked_start(to))
    typer.echo(as_position(settings.source.name, stored, as_json=as_json))


@position_app.command("show")
def position_show(config: ConfigPath = None, *, as_json: Json = False) -> None:
    """Show the position that the next start resumes from, and who claimed the source last."""
    settings = load(config).settings
    stored = PositionStore(settings, Instance.of_this_process()).read()
    typer.echo(as_position(settings.source.name, stored, as_json=as_json))
