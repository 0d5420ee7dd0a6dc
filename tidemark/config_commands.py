"""`tidemark init` writes a configuration, `tidemark config show` explains one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import SecretStr

from ops.config import load
from schemas.errors import UsageError

app = typer.Typer(no_args_is_help=True)

ConfigPath = Annotated[Path | None, typer.Option("-c", "--config", help="The configuration file.")]

_TEMPLATE = """\
# tidemark's configuration. `tidemark config show --origin` lists every key, `tidemark doctor` checks it all.
#
# The MySQL user, with no more rights than needed:
#   CREATE USER 'tidemark'@'%' IDENTIFIED BY '...';
#   GRANT REPLICATION SLAVE, REPLICATION CLIENT, SELECT ON *.* TO 'tidemark'@'%';
#   SET PERSIST binlog_row_image = 'FULL';
#   SET PERSIST binlog_row_metadata = 'FULL';

[source]
name = "shop"                      # topics, positions and index aliases begin with it
host = "127.0.0.1"
port = 3306
user = "tidemark"
password_file = "mysql.password"   # a file that holds the password and nothing else

[kafka]
bootstrap_servers = "127.0.0.1:9092"
partitions = 6
replication_factor = 1

[elasticsearch]
urls = ["http://127.0.0.1:9200"]

[cdc]
tables = ["shop.*"]
# exclude = ["shop.tmp_*"]
start = "latest"                   # the first time: "latest", "earliest", "gtid:<set>" or "file:<name>:<position>"

# [cdc.table."shop.customers"]     # columns that leave MySQL in no other form: docs/how-to/protect-columns.md
# exclude = ["ssn"]
# mask = ["phone"]

# [sink.tables."shop.orders"]      # what is in the index: docs/how-to/shape-documents.md
# index = "orders"
# filter = [{ column = "status", op = "!=", value = "draft" }]
"""


def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("tidemark.toml"),
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a commented tidemark.toml to begin with."""
    if path.exists() and not force:
        raise UsageError("the file exists already", where=str(path), hint="Name another one, or add --force.")
    path.write_text(_TEMPLATE, encoding="utf-8")
    typer.echo(str(path))


@app.command()
def show(
    config: ConfigPath = None,
    *,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value came from.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Print every setting with its value; secrets are masked."""
    loaded = load(config)
    rows = [
        {"key": key, "value": value, "origin": loaded.origin.get(key, "default")}
        for key, value in _flatten(loaded.settings.model_dump())
    ]
    if as_json:
        typer.echo(orjson.dumps({"schema": "tidemark.config/1", "settings": rows}))
        return
    for row in rows:
        suffix = f"    # {row['origin']}" if origin else ""
        typer.echo(f"{row['key']} = {orjson.dumps(row['value']).decode()}{suffix}")


def _flatten(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        dotted = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{dotted}.")
        else:
            yield dotted, _plain(value)


def _plain(value: Any) -> Any:
    return "********" if isinstance(value, SecretStr) else str(value) if isinstance(value, Path) else value
