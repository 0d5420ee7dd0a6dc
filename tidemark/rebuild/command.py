"""`tidemark sink rebuild` and `tidemark sink prune`."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import orjson
import typer
from rich.console import Console

from ops import elastic
from ops.config import load
from ops.log import configure
from ops.stop import Stop
from schemas.errors import TidemarkError, UsageError
from schemas.report import FindingClass
from tidemark.config_commands import ConfigPath
from tidemark.rebuild.outcome import Outcome
from tidemark.rebuild.progress import Display
from tidemark.rebuild.rebuild import Rebuild

_END_S = 60
_Table = Annotated[str, typer.Argument(help="`database.table`.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def rebuild(
    table: _Table,
    *,
    config: ConfigPath = None,
    drop_old: Annotated[bool, typer.Option("--drop-old", help="Delete the index that was replaced.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away what an unfinished rebuild built.")] = False,
    accept_dead_letters: Annotated[
        bool,
        typer.Option("--accept-dead-letters", help="Swap it in also without rows that only the new index refuses."),
    ] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Throw it away, and build nothing.")] = False,
    as_json: _Json = False,
) -> None:
    """Build a table's index anew from its topic, audit it, and let it take the old one's place. The sink goes on.

    The same command again goes on with a rebuild that was interrupted. Exit code 4 if the audit found something, 8 if
    it could not be finished: then nothing was swapped.
    """
    if abort and (restart or drop_old or accept_dead_letters):
        raise UsageError("--abort stands alone")
    if drop_old and accept_dead_letters:
        raise UsageError(
            "--drop-old does not go with --accept-dead-letters",
            hint="The rows that do not fit are in the old index only. `tidemark sink prune` deletes it later.",
        )
    console = Console(stderr=True, highlight=False)
    with _made(config, table, console) as made:
        try:
            outcome = (
                made.abort()
                if abort
                else made.run(restart=restart, drop_old=drop_old, accept_dead_letters=accept_dead_letters)
            )
        except KeyboardInterrupt:
            console.print(f"interrupted; `tidemark sink rebuild {table}` goes on from here", markup=False)
            raise
        except TidemarkError:
            if as_json and made.outcome.audit is not None:
                typer.echo(orjson.dumps(made.outcome.to_json()))
            raise
    if as_json:
        typer.echo(orjson.dumps(outcome.to_json()))
    elif not abort:
        _tell(outcome)


def prune(table: _Table, *, config: ConfigPath = None, as_json: _Json = False) -> None:
    """Delete the indexes of a table that rebuilds have replaced."""
    with _made(config, table, Console(stderr=True, highlight=False)) as made:
        dropped = made.prune()
    if as_json:
        typer.echo(orjson.dumps({"schema": "tidemark.sink.prune/1", "table": table, "dropped": dropped}))
        return
    for name in dropped:
        typer.echo(f"deleted {name}")


@contextmanager
def _made(config: ConfigPath, table: str, console: Console) -> Iterator[Rebuild]:
    settings = load(config).settings
    # Every event of the topic's past that does not fit is a line of the sink's; the audit counts those that matter.
    level = "debug" if settings.service.log_level == "debug" else "critical"
    configure(settings.service.log_format, level, service="rebuild", pipeline=settings.source.name)
    stop = Stop(_END_S)
    stop.install()
    client = elastic.client(settings.elasticsearch)
    try:
        with Display(console) as display:
            yield Rebuild(settings, table, client, stop, display)
    finally:
        client.close()
        gc.unfreeze()  # the sink has frozen what was there; DuckDB complains of what is not collected in the end


def _tell(outcome: Outcome) -> None:
    held = "" if outcome.held_s is None else f"; the sink's writes were held for {outcome.held_s:.1f} s"
    typer.echo(f"{outcome.alias} leads to {outcome.index}{held}")
    refused = outcome.audit.tables[0].counts.get(FindingClass.DEAD_LETTERED, 0) if outcome.audit else 0
    if refused:
        typer.echo(f"{refused:,} rows are in the dead-letter topic: their last change does not fit the new index")
    if outcome.offsets_set:
        typer.echo("no sink was running: the next one begins where the new index ends")
    if outcome.old and outcome.old_dropped:
        typer.echo(f"{outcome.old} is deleted")
    elif outcome.old:
        typer.echo(f"{outcome.old} is kept; `tidemark sink prune {outcome.table}` deletes it")
