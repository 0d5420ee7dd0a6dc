"""`tidemark sink …` in this process, with a running sink's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import structlog
from typer.testing import CliRunner

from documented import documented
from runner import Pipeline
from schemas.errors import TidemarkError
from sink.commands import app


def sink_command(pipeline: Pipeline, *arguments: str) -> tuple[int, str]:
    """Exit code and stdout. A `TidemarkError` comes through."""
    with _logging_as_it_was():
        done = CliRunner().invoke(app, [*arguments, "-c", str(pipeline.config)])
    if isinstance(done.exception, TidemarkError):
        raise done.exception
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def sink_json(pipeline: Pipeline, *arguments: str, code: int = 0) -> dict[str, Any]:
    """The object that a command prints, in a form that the reference names."""
    ended, out = sink_command(pipeline, *arguments, "--json")
    assert ended == code, out
    assert out.count("\n") == 1
    found: dict[str, Any] = orjson.loads(out)
    assert found["schema"] in documented()
    return found


@contextmanager
def _logging_as_it_was() -> Iterator[None]:
    """The commands send the log to a stderr that ends with them."""
    try:
        yield
    finally:
        structlog.reset_defaults()
