"""The processes that a user would run: `tidemark cdc run`, `tidemark sink run`, `tidemark audit …`."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from schemas.errors import TidemarkError

_POLL_S = 0.05
_LOG_TAIL_LINES = 12


class DemoError(TidemarkError):
    """The demonstration did not show what it should."""

    code = "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running service. `listen` is the address of its health server."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    listen: str

    @classmethod
    def start(cls, name: str, config: Path, listen: str, env: Mapping[str, str] | None = None) -> Service:
        """Run `tidemark <name> run` in the background; its log is appended to `<name>.log` beside the configuration."""
        log = config.parent / f"{name}.log"
        with log.open("ab") as stream:
            process = subprocess.Popen(
                [*command(), name, "run", "-c", str(config)],
                stdout=stream,
                stderr=stream,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(env or {})},
            )
        return cls(name=name, process=process, log=log, listen=listen)

    def await_ready(self, timeout_s: float = 60) -> None:
        """Wait for `/readyz`; a service that ends instead is an error with the end of its log."""
        deadline = time.monotonic() + timeout_s
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise DemoError(f"{self.name} did not get ready:\n{self.tail()}", where=str(self.log))
            time.sleep(_POLL_S)

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection(self.listen, timeout=2)
        try:
            connection.request("GET", "/readyz", headers={"Host": "localhost"})
            return connection.getresponse().status == http.client.OK
        except OSError:
            return False
        finally:
            connection.close()

    def check(self) -> None:
        """Raise if the service has ended by itself."""
        if self.process.poll() is not None:
            raise DemoError(f"{self.name} ended with exit code {self.process.returncode}:\n{self.tail()}")

    def tail(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:])

    def stop(self, timeout_s: float = 15) -> int:
        """Ask it to stop, as a supervisor would; the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def command() -> list[str]:
    """The installed command of this very environment."""
    return [sys.executable, "-m", "tidemark"]


def call(args: Sequence[str], *, allowed: Sequence[int]) -> dict[str, Any]:
    """Run a command with `--json` and read its one object; any exit code but the allowed ones is an error."""
    done = subprocess.run([*command(), *args], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode not in allowed:
        said = done.stderr.decode(errors="replace")[-2000:]
        raise DemoError(f"`tidemark {' '.join(args)}` ended with exit code {done.returncode}:\n{said}")
    result: dict[str, Any] = orjson.loads(done.stdout)
    return result
