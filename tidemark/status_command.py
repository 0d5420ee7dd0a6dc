"""`tidemark status`: what the services of this configuration say about themselves."""

from __future__ import annotations

import http.client
import time
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ops.config import load
from ops.log import clean
from ops.settings import Settings
from schemas.errors import ExitCode
from tidemark.config_commands import ConfigPath

_TIMEOUT_S = 2


def status(
    config: ConfigPath = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh until interrupted.")] = False,
) -> None:
    """Ask cdc and sink how they are. Exit code 3 if one does not answer."""
    settings = load(config).settings
    if watch:
        _watch(settings)
    found = _ask(settings)
    if as_json:
        typer.echo(orjson.dumps({"schema": "tidemark.status/1", "services": found}))
    else:
        Console().print(_table(found))
    if any(service["state"] == "unreachable" for service in found):
        raise typer.Exit(int(ExitCode.UNREACHABLE))


def _watch(settings: Settings) -> None:
    with Live(_table(_ask(settings)), console=Console(), refresh_per_second=2) as live:
        while True:
            time.sleep(1)
            live.update(_table(_ask(settings)))


def _ask(settings: Settings) -> list[dict[str, Any]]:
    places = {"cdc": settings.service.cdc_listen, "sink": settings.service.sink_listen}
    return [_one(service, listen) for service, listen in places.items()]


def _one(service: str, listen: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection(listen, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/status", headers={"Host": "localhost"})
        answer: dict[str, Any] = orjson.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        return {"service": service, "state": "unreachable", "ready": False, "reason": str(error), "listen": listen}
    finally:
        connection.close()
    return {**answer, "listen": listen}


def _table(found: list[dict[str, Any]]) -> Table:
    table = Table("service", "state", "ready", "details", box=None)
    for service in found:
        details = service.get("details") or {}
        text = service.get("reason") or ", ".join(f"{key} {value}" for key, value in details.items())
        table.add_row(service["service"], service["state"], "yes" if service["ready"] else "no", Text(clean(text)))
    return table
