"""`tidemark sink …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from ops import service
from ops.catalog import Catalog
from ops.config import load
from ops.elastic import client
from sink import deadletter_commands
from sink.index import Indices
from sink.pipeline import body
from sink.plan import plan_of
from sink.rewind_commands import rewind

app = typer.Typer(no_args_is_help=True)
mapping = typer.Typer(no_args_is_help=True, help="The mapping of each table's index.")
app.add_typer(mapping, name="mapping")
app.add_typer(deadletter_commands.app, name="deadletter")
app.command("rewind")(rewind)

ConfigPath = Annotated[Path | None, typer.Option("-c", "--config", help="The configuration file.")]


@app.command()
def run(config: ConfigPath = None) -> None:
    """Index change events until stopped."""
    settings = load(config).settings
    service.run(settings, "sink", settings.service.sink_listen, body(settings))


@mapping.command()
def plan(
    config: ConfigPath = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show what each table's index has, and what it would get. Changes nothing."""
    settings = load(config).settings
    elastic = client(settings.elasticsearch)
    indices = Indices(elastic, settings.sink, settings.source.name, ", ".join(settings.elasticsearch.urls))
    with Catalog(settings, f"{settings.source.name}-mapping") as catalog:
        catalog.refresh()
        tables = [plan_of(indices, table) for _, table in sorted(catalog.latest.items())]
    if as_json:
        typer.echo(orjson.dumps({"schema": "tidemark.sink.mapping/1", "tables": tables}))
        return
    for table in tables:
        _print(table)


def _print(table: dict[str, Any]) -> None:
    typer.echo(f"{table['table']} version {table['version']} -> {table['alias']}: {table['state']}")
    for line in table["diff"]:
        typer.echo(f"  {line}")
    for name, field in table["mapping"]["properties"].items():
        typer.echo(f"    {name}: {orjson.dumps(field).decode()}")
