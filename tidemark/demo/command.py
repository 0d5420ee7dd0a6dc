"""`tidemark demo`: the whole story on real servers; ends by itself and leaves nothing running."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from schemas.errors import ExitCode
from stack import Stack
from tidemark.demo.story import Outcome, Story


def demo(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Exactly one JSON line on stdout.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave servers, services and data where they are.")] = False,
) -> None:
    """Start real servers, capture a small shop, harm its index, audit, repair, and audit again."""
    console = Console(stderr=True, highlight=False)
    signal.signal(signal.SIGTERM, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="tidemark-demo-"))
    start = time.monotonic()

    def say(sentence: str) -> None:
        console.print(f"[dim]{time.monotonic() - start:6.1f} s[/]  {escape(sentence)}", soft_wrap=True)

    story = Story(folder, say)
    with ExitStack() as after:
        if not keep:
            after.callback(shutil.rmtree, folder, ignore_errors=True)
        keeping = after.enter_context(ExitStack())
        outcome = story.run(Stack(folder / "stack", report=say), keeping, keep=keep)
        if keep:
            keeping.pop_all()
            say(f"kept: servers, services and data; look around with: tidemark status -c {folder}/tidemark.toml")
            say(f"end it: kill the two processes, then tidemark stack down --wipe --state-dir {folder}/stack")
        else:
            say("stopping the servers")
    _tell(console, outcome, time.monotonic() - start)
    if as_json:
        typer.echo(orjson.dumps(outcome.to_json()))
    if not outcome.proven:
        raise typer.Exit(int(ExitCode.INTERNAL))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _tell(console: Console, outcome: Outcome, seconds: float) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    lag = outcome.lag
    rows = (
        ("row changes", f"{outcome.rows}"),
        ("documents", f"{outcome.documents}"),
        ("commit to search hit", f"p50 {lag.p50_ms:.0f} ms, p99 {lag.p99_ms:.0f} ms over {lag.probes} probes"),
        ("harm done", f"{len(outcome.removed)} removed, {len(outcome.staled)} overwritten with older versions"),
        ("audit found", f"{len(outcome.missing)} missing, {len(outcome.stale)} stale, {len(outcome.others)} other"),
        ("repaired", f"{outcome.repaired}"),
        ("audit after repair", "clean" if outcome.clean_after_repair else "NOT CLEAN"),
        ("timings", ", ".join(f"{name} {took:.1f} s" for name, took in outcome.timings_s.items())),
        ("in all", f"{seconds:.0f} s"),
    )
    for name, text in rows:
        table.add_row(f"[bold]{name}[/]", text)
    console.print()
    console.print(table)
    if outcome.proven:
        console.print("\n[bold green]The audit named exactly what was harmed, and the repair healed it.[/]")
    else:
        console.print("\n[bold red]The audit and the harm differ:[/]")
        for name in ("removed", "missing", "staled", "stale", "others"):
            console.print(f"  {name}: {getattr(outcome, name)}", markup=False)
