"""`tidemark sink deadletter list | show | replay`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ops.config import load
from ops.duration import moment_ms
from ops.elastic import client
from ops.log import configure
from ops.settings import Settings
from schemas.errors import ExitCode
from sink.case import Ending
from sink.letter_tables import refuse_unknown
from sink.letter_view import list_json, replay_json, show_json, show_letter, show_list, show_replay
from sink.letterbox import Letterbox, Wanted, no_such
from sink.overtaken import looked_at, overtaken
from sink.replay import replay as replay_letters

app = typer.Typer(no_args_is_help=True, help="Changes that Elasticsearch refused.")

_Config = Annotated[Path | None, typer.Option("-c", "--config", help="The configuration file.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
_Tables = Annotated[list[str] | None, typer.Option("--table", help="Of this table, or of those that match.")]
_Reason = Annotated[str, typer.Option("--reason", help="Whose type or reason contains this.")]
_Since = Annotated[str | None, typer.Option("--since", help="Refused at or after this time, or `2h` ago.")]
_Until = Annotated[str | None, typer.Option("--until", help="Refused before this time, or `2h` ago.")]


@app.command("list")
def list_(
    *,
    config: _Config = None,
    tables: _Tables = None,
    reason: _Reason = "",
    since: _Since = None,
    until: _Until = None,
    check: Annotated[bool, typer.Option("--check", help="Look which the index has, or something newer.")] = False,
    as_json: _Json = False,
) -> None:
    """List the letters that stand, the oldest first; reasons can quote a document."""
    settings = _settings(config)
    wanted = _wanted((), tables, reason, since, until)
    refuse_unknown(settings, _client_id(settings), wanted.tables)
    where = ", ".join(settings.elasticsearch.urls)
    with Letterbox(settings, _client_id(settings)) as letterbox, client(settings.elasticsearch) as elastic:
        look = (lambda page: overtaken(elastic, page, where)) if check else None
        letters = looked_at(letterbox.standing(wanted), look)
        if as_json:
            for piece in list_json(letters):
                sys.stdout.buffer.write(piece)
            sys.stdout.flush()
        else:
            show_list(letters, Console(highlight=False))


@app.command()
def show(
    number: Annotated[int, typer.Argument(help="Its number, as `list` shows it.")],
    *,
    config: _Config = None,
    as_json: _Json = False,
) -> None:
    """Show one letter with its event."""
    settings = _settings(config)
    with Letterbox(settings, _client_id(settings)) as letterbox:
        found = next(letterbox.standing(Wanted(numbers=frozenset({number}))), None)
    if found is None:
        raise no_such({number})
    if as_json:
        typer.echo(show_json(found))
    else:
        show_letter(found, Console(highlight=False))


@app.command()
def replay(
    numbers: Annotated[list[int] | None, typer.Argument(help="Their numbers; all that stand by default.")] = None,
    *,
    config: _Config = None,
    tables: _Tables = None,
    reason: _Reason = "",
    since: _Since = None,
    until: _Until = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: _Json = False,
) -> None:
    """Index the events of letters again, where nothing newer has come; sinks may run. Exit code 4 if letters stand."""
    settings = _settings(config)
    wanted = _wanted(numbers or (), tables, reason, since, until)
    refuse_unknown(settings, _client_id(settings), wanted.tables)
    cases = replay_letters(settings, _client_id(settings), wanted, apply=not dry_run)
    if as_json:
        typer.echo(replay_json(cases, applied=not dry_run))
    else:
        show_replay(cases, Console(highlight=False), applied=not dry_run)
    if not dry_run and any(case.ending in (Ending.REFUSED, Ending.LEFT) for case in cases):
        raise typer.Exit(int(ExitCode.FINDINGS))


def _settings(config: Path | None) -> Settings:
    settings = load(config).settings
    configure(settings.service.log_format, settings.service.log_level, service="sink", pipeline=settings.source.name)
    return settings


def _client_id(settings: Settings) -> str:
    return f"{settings.source.name}-deadletter"


def _wanted(
    numbers: Iterable[int], tables: Sequence[str] | None, reason: str, since: str | None, until: str | None
) -> Wanted:
    times = {"since_ms": since, "until_ms": until}
    return Wanted(
        numbers=frozenset(numbers),
        tables=tuple(tables or ()),
        reason=reason,
        **{name: moment_ms(text) for name, text in times.items() if text is not None},
    )
