"""`tidemark stack`: results on stdout, progress on stderr."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from schemas.errors import UsageError
from stack import config as configuration
from stack import docker, paths
from stack.stack import Stack
from stack.status import ServerState, StackStatus
from stack.watcher import Report, print_nothing

app = typer.Typer(no_args_is_help=True, help="Real MySQL, Kafka and Elasticsearch on this machine.")

StateDir = Annotated[
    Path | None, typer.Option("--state-dir", help="Data and logs.", show_default="$XDG_STATE_HOME/tidemark/stack")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Docker = Annotated[bool, typer.Option("--docker", help="Use docker-compose.yml and `docker compose`.")]

_COLOURS = {
    ServerState.RUNNING: "green",
    ServerState.UNREADY: "yellow",
    ServerState.DIED: "red",
    ServerState.STOPPED: "dim",
}


@app.command()
def up(*, state_dir: StateDir = None, as_json: AsJson = False, use_docker: Docker = False) -> None:
    """Start what does not run yet; downloads what is missing on first use."""
    with _terminable(), _progress() as say:
        if use_docker:
            docker.up()
        else:
            status = _stack(state_dir, say).up()
    if use_docker:
        _show_docker("up", as_json=as_json)
    else:
        _show("up", status, as_json=as_json)


@app.command()
def down(
    *,
    state_dir: StateDir = None,
    wipe: Annotated[bool, typer.Option("--wipe", help="Remove data, ports and passwords too.")] = False,
    as_json: AsJson = False,
    use_docker: Docker = False,
) -> None:
    """Stop what `up` started, and nothing else."""
    if use_docker:
        docker.down(wipe=wipe)
        _show_docker("down", as_json=as_json)
    else:
        _show("down", _stack(state_dir).down(wipe=wipe), as_json=as_json)


@app.command()
def status(*, state_dir: StateDir = None, as_json: AsJson = False, use_docker: Docker = False) -> None:
    """Say what runs where, in which version."""
    if use_docker:
        _show_docker("status", as_json=as_json)
    else:
        _show("status", _stack(state_dir).status(), as_json=as_json)


@app.command()
def config(
    *,
    state_dir: StateDir = None,
    name: Annotated[str, typer.Option(help="The source's name: topics and aliases begin with it.")] = "shop",
    tables: Annotated[
        list[str] | None, typer.Option("--table", help="Tables to capture.", show_default="NAME.*")
    ] = None,
    as_json: AsJson = False,
    use_docker: Docker = False,
) -> None:
    """Print a complete tidemark.toml for these servers."""
    where = docker.addresses() if use_docker else configuration.addresses(_known(state_dir))
    text = configuration.render_toml(where, name=name, tables=tables or [f"{name}.*"])
    _print_json("config", {"toml": text}) if as_json else typer.echo(text, nl=False)


@app.command()
def env(*, state_dir: StateDir = None, as_json: AsJson = False, use_docker: Docker = False) -> None:
    """Print shell lines for `eval`: where the tests find these servers. They hold root's MySQL password."""
    variables = docker.test_environment() if use_docker else _known(state_dir).test_environment()
    _print_json("env", {"variables": variables}) if as_json else typer.echo(
        configuration.render_shell(variables), nl=False
    )


def _stack(state_dir: Path | None, report: Report = print_nothing) -> Stack:
    return Stack(state_dir or paths.state_dir(), report=report)


def _known(state_dir: Path | None) -> StackStatus:
    found = _stack(state_dir).status()
    if not found.started_once:
        raise UsageError(
            "no stack was started in this folder yet", where=str(found.state_dir), hint="tidemark stack up"
        )
    return found


def _show(command: str, found: StackStatus, *, as_json: bool) -> None:
    if as_json:
        _print_json(command, found.to_json())
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("server", "state", "address", "pid", "version"):
        table.add_column(heading)
    for server in found.servers:
        state = f"[{_COLOURS[server.state]}]{server.state}[/]"
        address = server.address if server.port else ""
        table.add_row(server.name, state, address, str(server.pid or ""), server.version)
    Console(highlight=False).print(table)
    typer.echo(f"data and logs: {found.state_dir}")


def _show_docker(command: str, *, as_json: bool) -> None:
    found = docker.states()
    if as_json:
        servers = {name: {"state": str(state), "port": docker.PORTS[name]} for name, state in found.items()}
        running = all(state is ServerState.RUNNING for state in found.values())
        _print_json(command, {"running": running, "servers": servers})
        return
    for name, state in found.items():
        typer.echo(f"{name:14} {state}")


def _print_json(command: str, fields: dict[str, Any]) -> None:
    typer.echo(json.dumps({"schema": "tidemark.stack/1", "command": command, **fields}))


@contextmanager
def _progress() -> Iterator[Report]:
    console = Console(stderr=True, highlight=False)
    start = time.monotonic()
    with console.status("starting MySQL, Kafka and Elasticsearch"):
        yield lambda sentence: console.print(f"[dim]{time.monotonic() - start:5.1f} s[/]  {sentence}")


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM and SIGHUP end `up` as Ctrl-C does: what was started is stopped again."""
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
