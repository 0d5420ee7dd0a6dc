"""The `tidemark` command: puts the rooms' commands together and turns errors into words and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

import auditor.commands
import cdc.commands
import sink.commands
import stack.commands
from ops.log import clean
from schemas.errors import ExitCode, TidemarkError
from schemas.event import VERSION
from tidemark import config_commands, doctor, status_command
from tidemark.demo import command as demo_command

app = typer.Typer(
    name="tidemark",
    help="Keeps an Elasticsearch index true to a MySQL database, and proves it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(stack.commands.app, name="stack", help="Real MySQL, Kafka and Elasticsearch on this machine.")
app.add_typer(cdc.commands.app, name="cdc", help="Read the binlog, publish change events to Kafka.")
app.add_typer(sink.commands.app, name="sink", help="Index change events into Elasticsearch.")
app.add_typer(auditor.commands.app, name="audit", help="Prove that the index holds what the topics say.")
app.add_typer(config_commands.app, name="config", help="What is configured, and where it came from.")
app.command("init")(config_commands.init)
app.command("doctor")(doctor.doctor)
app.command("status")(status_command.status)
app.command("demo")(demo_command.demo)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tidemark {VERSION}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Keeps an Elasticsearch index true to a MySQL database, and proves it."""
    del version


def main() -> None:
    """The installed command."""
    sys.exit(guard(lambda: app(standalone_mode=False)))


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
