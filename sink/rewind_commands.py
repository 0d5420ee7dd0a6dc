"""`tidemark sink rewind`."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from ops.catalog import Catalog
from ops.config import load
from ops.duration import moment_ms
from ops.log import clean, configure
from ops.settings import Settings
from schemas.errors import UsageError
from schemas.table import Table
from sink.rewind import Move, Rewind, State, Target


def rewind(
    tables: Annotated[list[str] | None, typer.Argument(help="Tables, `db.table` or a pattern; all by default.")] = None,
    *,
    config: Annotated[Path | None, typer.Option("-c", "--config", help="The configuration file.")] = None,
    to_offset: Annotated[int | None, typer.Option("--to-offset", min=0, help="Read again from this offset on.")] = None,
    to_timestamp: Annotated[
        str | None, typer.Option("--to-timestamp", help="Read again what was published since this time, or `2h` ago.")
    ] = None,
    partitions: Annotated[list[int] | None, typer.Option("--partition", help="Only this one, of one table.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Move them; without it this is a dry run.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be moved: so it is anyway.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Go back in the topics, while no sink runs; the next one reads again from there. Nothing is ever skipped."""
    target = _target(to_offset, to_timestamp)
    if apply and dry_run:
        raise UsageError("--apply and --dry-run contradict each other", hint="Give one of them.")
    settings = load(config).settings
    configure(settings.service.log_format, settings.service.log_level, service="sink", pipeline=settings.source.name)
    chosen = _chosen(settings, tables or ())
    if partitions and len(chosen) != 1:
        raise UsageError("--partition is for one table", hint="Name the table.")
    work = Rewind(settings)
    moves = work.plan(chosen, partitions or (), target)
    if apply:
        moves = work.apply(moves)
    if as_json:
        typer.echo(_json(settings, moves, applied=apply))
    else:
        _show(moves, Console(highlight=False), applied=apply)


def _target(offset: int | None, timestamp: str | None) -> Target:
    if (offset is None) == (timestamp is None):
        raise UsageError("give either --to-offset or --to-timestamp")
    return Target(offset=offset, since_ms=None if timestamp is None else moment_ms(timestamp))


def _chosen(settings: Settings, patterns: Sequence[str]) -> list[Table]:
    with Catalog(settings, f"{settings.source.name}-rewind") as catalog:
        catalog.refresh()
        known = dict(sorted(catalog.latest.items()))
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise UsageError(f"`{pattern}` is no captured table", hint=f"Captured: {', '.join(known) or 'none yet'}.")
    return [table for name, table in known.items() if not patterns or any(fnmatchcase(name, one) for one in patterns)]


def _json(settings: Settings, moves: Sequence[Move], *, applied: bool) -> bytes:
    """`tidemark.sink.rewind/1`."""
    rows = [
        {
            "table": move.table, "topic": move.topic, "partition": move.number, "from": move.old, "to": move.new,
            "seq": str(move.noted.seq), "state": move.state,
        }
        for move in moves
    ]  # fmt: skip
    return orjson.dumps(
        {"schema": "tidemark.sink.rewind/1", "group": settings.sink_group, "applied": applied, "partitions": rows}
    )


def _show(moves: Sequence[Move], console: Console, *, applied: bool) -> None:
    grid = Grid(box=None, pad_edge=False, header_style="bold")
    for title in ("table", "partition", "from", "to", ""):
        grid.add_column(title, justify="right" if title in ("partition", "from", "to") else "left", no_wrap=True)
    for move in moves:
        grid.add_row(Text(clean(move.table)), str(move.number), str(move.old), str(move.new), move.state)
    if moves:
        console.print(grid)
    back = sum(move.old - move.new for move in moves)
    moved = sum(move.state is not State.UNCHANGED for move in moves)
    if not moves:
        console.print("Nothing to go back: no sink has committed an offset there.")
    elif not moved:
        console.print("Nothing to go back: every offset is there already, or before it.")
    elif applied:
        console.print(
            f"{moved} partitions go back, by {back:,} offsets in all. The next `tidemark sink run` reads again."
        )
    else:
        console.print(f"{moved} partitions would go back, by {back:,} offsets in all. A dry run: nothing was changed.")
        console.print("What is read again is read to the end; there is no way forward but that. To go back: --apply")
