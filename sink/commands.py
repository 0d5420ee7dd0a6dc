"""`tidemark sink …`."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import orjson
import typer

from ops import service
from ops.catalog import Catalog
from ops.config import load
from ops.elastic import client
from ops.log import configure
from ops.shapes import Shapes
from schemas.errors import ExitCode, UsageError
from schemas.table import Table
from sink import deadletter_commands
from sink.index import Indices
from sink.pipeline import body
from sink.plan import Plan, plan_of
from sink.plan import apply as apply_plan
from sink.plan_text import show
from sink.rewind_commands import rewind

app = typer.Typer(no_args_is_help=True)
mapping = typer.Typer(no_args_is_help=True, help="The mapping of each table's index.")
app.add_typer(mapping, name="mapping")
app.add_typer(deadletter_commands.app, name="deadletter")
app.command("rewind")(rewind)

ConfigPath = Annotated[Path | None, typer.Option("-c", "--config", help="The configuration file.")]


Tables = Annotated[list[str] | None, typer.Argument(help="Tables, `db.table` or a pattern; all by default.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]
Act = Callable[[Indices, Catalog, Table], Plan]


@app.command()
def run(config: ConfigPath = None) -> None:
    """Index change events until stopped."""
    settings = load(config).settings
    service.run(settings, "sink", settings.service.sink_listen, body(settings))


@mapping.command()
def plan(tables: Tables = None, *, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Show what each table's index lacks, and whether it can be made in place. Changes nothing.

    Exit code 4 if something is in the way that neither `apply` nor the sink can mend: the index has to be built anew.
    """
    _mapping(config, tables or (), plan_of, as_json=as_json, applied=False)


@mapping.command()
def apply(tables: Tables = None, *, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Change in place what can be: new fields, parameters and settings. The sink may go on meanwhile.

    Exit code 4 if something is left that needs a new index.
    """

    def act(indices: Indices, catalog: Catalog, table: Table) -> Plan:
        return apply_plan(indices, catalog, plan_of(indices, catalog, table))

    _mapping(config, tables or (), act, as_json=as_json, applied=True)


def _mapping(config: Path | None, wanted: Sequence[str], act: Act, *, as_json: bool, applied: bool) -> None:
    settings = load(config).settings
    log = settings.service
    configure(log.log_format, log.log_level, service="mapping", pipeline=settings.source.name)
    Shapes(settings.sink)  # a transform that cannot be imported is said here as well
    elastic = client(settings.elasticsearch)
    indices = Indices(elastic, settings.sink, settings.source.name, ", ".join(settings.elasticsearch.urls))
    with closing(elastic), Catalog(settings, f"{settings.source.name}-mapping") as catalog:
        catalog.refresh()
        plans = [act(indices, catalog, catalog.latest[name]) for name in _chosen(catalog.latest, wanted)]
        strangers = sorted(set(settings.sink.tables) - set(catalog.latest))
    if as_json:
        body = {"applied": applied, "tables": [plan.to_json() for plan in plans], "not_captured": strangers}
        typer.echo(orjson.dumps({"schema": "tidemark.sink.mapping/1", **body}))
    else:
        show(plans, strangers)
    if any(plan.state.stuck for plan in plans):
        raise typer.Exit(int(ExitCode.FINDINGS))


def _chosen(known: Collection[str], wanted: Sequence[str]) -> list[str]:
    for pattern in wanted:
        if not fnmatch.filter(known, pattern):
            raise UsageError(
                f"`{pattern}` is no captured table", hint=f"Captured: {', '.join(sorted(known)) or 'none'}."
            )
    return [name for name in sorted(known) if not wanted or any(fnmatch.fnmatchcase(name, one) for one in wanted)]
