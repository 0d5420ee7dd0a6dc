"""`tidemark sink rebuild` as a process, judged by exit code, JSON and what it says."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from psutil import STATUS_STOPPED, Process

from runner import until
from tidemark.demo.services import command


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """How it ended; `result` is its JSON, empty if there is none."""

    code: int
    result: dict[str, Any]
    said: str


class Rebuilding:
    """One that runs. `crash`: a crash point, as `ops.crashpoint` reads it."""

    def __init__(self, config: Path, table: str, *flags: str, crash: str = "") -> None:
        self.process = subprocess.Popen(
            [*command(), "sink", "rebuild", table, "-c", str(config), "--json", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "TIDEMARK_CRASH": crash},
        )

    def await_stopped(self, timeout_s: float = 180) -> None:
        """Wait until it has reached its crash point, where it is to stop."""
        until(self._is_stopped, "the rebuild stops where it should", timeout_s)

    def _is_stopped(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()[1].decode()
        return bool(Process(self.process.pid).status() == STATUS_STOPPED)

    def end(self, timeout_s: float = 240) -> Rebuilt:
        try:
            out, said = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(self.process.communicate()[1].decode()) from None
        result = orjson.loads(out) if out else {}
        return Rebuilt(code=self.process.returncode, result=result, said=said.decode())


def rebuilt(config: Path, table: str, *flags: str, crash: str = "") -> Rebuilt:
    """Run it to its end."""
    return Rebuilding(config, table, *flags, crash=crash).end()
