"""The `tidemark` command: puts the rooms' commands together and turns errors into words and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ops.log import clean
from schemas.errors import ExitCode, TidemarkError
from schemas.event import VERSION

_HELP = "Keeps an Elasticsearch index true to a MySQL database, and proves it."
#: Groups of commands: the module whose `app` has them.
_GROUPS = {
    "stack": ("stack.commands", "Real MySQL, Kafka and Elasticsearch on this machine."),
    "cdc": ("cdc.commands", "Read the binlog, publish change events to Kafka."),
    "sink": ("sink.commands", "Index change events into Elasticsearch."),
    "audit": ("auditor.commands", "Prove that the index holds what the topics say."),
    "config": ("tidemark.config_commands", "What is configured, and where it came from."),
}
#: Commands of a room's group that take more than that room: the module that has a function of that name.
_TOGETHER = {"sink": {"rebuild": "tidemark.rebuild.command", "prune": "tidemark.rebuild.command"}}
#: Single commands: the module that has a function of that name.
_COMMANDS = {
    "init": "tidemark.config_commands",
    "doctor": "tidemark.doctor",
    "status": "tidemark.status_command",
    "demo": "tidemark.demo.command",
}


def assemble(words: Sequence[str]) -> typer.Typer:
    """The command for these words, with the rooms that they name; with all of them if they name none.

    Services live long: what other rooms need would be memory, and time to start.
    """
    named, inner = [*(word for word in words if not word.startswith("-")), "", ""][:2]
    app = typer.Typer(
        name="tidemark",
        help=_HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(help=_HELP)(root)
    everything = named not in {*_GROUPS, *_COMMANDS}
    for name, (module, text) in _GROUPS.items():
        if everything or name == named:
            group = import_module(module).app
            for command, place in _TOGETHER.get(name, {}).items() if inner != "run" else ():
                group.command(command)(getattr(import_module(place), command))
            app.add_typer(group, name=name, help=text)
    for name, module in _COMMANDS.items():
        if everything or name == named:
            app.command(name)(getattr(import_module(module), name))
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tidemark {VERSION}")
        raise typer.Exit


def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """What comes before every command."""
    del version


def main() -> None:
    """The installed command."""
    sys.exit(guard(lambda: assemble(sys.argv[1:])(standalone_mode=False)))


def guard(call: Callable[[], object]) -> int:
    """Run a command; say what went wrong as what, where and how to mend it; give the exit code."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        result = call()
    except TidemarkError as error:
        _explain(console, error)
        return int(error.exit_code)
    except typer.Abort:
        return int(ExitCode.INTERRUPTED)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        return int(ExitCode.OK)
    except Exception as error:
        show = getattr(error, "show", None)  # click's usage errors know how to show themselves
        if show is None:
            raise
        show()
        return int(ExitCode.USAGE)
    return result if isinstance(result, int) else int(ExitCode.OK)


def _explain(console: Console, error: TidemarkError) -> None:
    console.print(Text.assemble(("error", "bold red"), f"[{error.code}]: {clean(error.what)}"))
    if error.where:
        console.print(Text.assemble(("  where: ", "dim"), clean(error.where)))
    if error.hint:
        for number, line in enumerate(error.hint.splitlines()):
            console.print(Text.assemble(("  mend:  " if number == 0 else "         ", "bold green"), clean(line)))
