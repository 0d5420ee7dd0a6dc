"""`tidemark cdc run` as a process of its own, with a configuration of the test's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pymysql

from ops.settings import Settings
from runner import until


def command(settings: Settings, *args: str) -> tuple[list[str], dict[str, str]]:
    """`tidemark cdc …` and its environment, which holds the settings: no file is needed."""
    return [sys.executable, "-m", "tidemark", "cdc", *args], {**os.environ, **_environment(settings)}


class Cdc:
    """One process. `env` is laid over its environment."""

    def __init__(self, settings: Settings, log: Path, env: Mapping[str, str] | None = None) -> None:
        self.log = log
        self.settings = settings
        argv, environment = command(settings, "run")
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                argv, stdout=stream, stderr=stream, env={**environment, "PYTHONFAULTHANDLER": "1", **(env or {})}
            )

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait(self, timeout_s: float = 120) -> int:
        """The exit code of a process that should end by itself."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"cdc still runs:\n{self.said[-3000:]}") from None

    def stop(self, timeout_s: float = 60) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def await_said(self, text: str, timeout_s: float = 120) -> None:
        def seen() -> bool:
            assert self.process.poll() is None or text in self.said, f"cdc ended:\n{self.said[-3000:]}"
            return text in self.said

        until(seen, f"{text!r} in the log", timeout_s)

    def stacks(self) -> str:
        """Ends the process and tells what each of its threads was doing."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait(60)
        return self.said[-6000:]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(60)


def _environment(settings: Settings) -> dict[str, str]:
    found: dict[str, str] = {"PYTHONPATH": str(Path(__file__).parent.parent)}
    plain = settings.model_dump(exclude_unset=True, mode="python")
    for section, values in plain.items():
        for key, value in values.items():
            found[f"TIDEMARK_{section}__{key}".upper()] = _text(value)
    return found


def _text(value: Any) -> str:
    if hasattr(value, "get_secret_value"):
        return str(value.get_secret_value())
    return ",".join(value) if isinstance(value, list) else str(value)


def execute(connection: pymysql.connections.Connection, *statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
