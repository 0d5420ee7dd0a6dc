"""What the three servers have in common: a folder, ports, a process, and a way to see that it answers."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from stack import files, identity, proc
from stack.errors import ServerStartError, StackError
from stack.lock import locked
from stack.ports import HOST, free_port, is_free
from stack.process import adopt, end, read_record, spawn
from stack.status import ServerState, ServerStatus
from stack.watcher import Watcher

_LOG_LINES, _LOG_CAUSES, _LOG_WIDTH = 20, 8, 400
_CAUSE = re.compile(r"\b(ERROR|FATAL|Caused by|\w+Exception|\w+Error)\b")
_POLL_S = 0.1
_PORT_PATIENCE_S = 2


class Server(ABC):
    """One server in one folder: `server.json` (ports, version), `process.json` (what runs), data, log.

    A port is chosen at the first start and kept, so clients find a restarted server where it was.
    """

    name: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]] = ("port",)
    grace_s: ClassVar[float] = 20

    def __init__(self, folder: Path, *, port: int = 0) -> None:
        self.folder = folder.absolute()
        self._wanted_port = port
        self._output_before = 0  # bytes that earlier starts have printed

    # What each server does in its own way.

    @abstractmethod
    def prepare(self, watcher: Watcher) -> None:
        """Fetch it, make the data folder and the configuration; keep what is there, remove a crash's leftovers."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The command line, without the words that change the user."""

    @abstractmethod
    def answers(self) -> bool:
        """True if it does what clients need; returns within seconds."""

    def environment(self) -> Mapping[str, str]:
        return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "TZ": "UTC"}

    def reach(self) -> Sequence[Path]:
        """Folders that the server's user must get to."""
        return [self.folder]

    def main_pid(self) -> int:
        """The server's pid where the command is only a launcher; 0 where it is the server."""
        return 0

    # The same for all.

    @property
    def log(self) -> Path:
        """Where to look while it runs."""
        return self._output

    @property
    def port(self) -> int:
        """0 before the first start."""
        return self.ports.get("port", self._wanted_port)

    @property
    def ports(self) -> dict[str, int]:
        return dict(self._noted.get("ports", {}))

    @property
    def version(self) -> str:
        return str(self._noted.get("version", ""))

    @property
    def pid(self) -> int:
        """0 if it does not run."""
        record = read_record(self._record)
        members = record.members() if record else []
        return members[0].pid if members else 0

    @property
    def state(self) -> ServerState:
        if not self._record.exists():
            return ServerState.STOPPED
        if not self.pid:
            return ServerState.DIED
        return ServerState.RUNNING if self.answers() else ServerState.UNREADY

    def status(self) -> ServerStatus:
        return ServerStatus(**self.facts())

    def facts(self) -> dict[str, Any]:
        """The fields that every status has."""
        where = {"host": HOST, "port": self.port, "log": self.log}
        return {"name": self.name, "state": self.state, "pid": self.pid, "version": self.version, **where}

    def start(self, *, timeout_s: float = 180, watcher: Watcher | None = None) -> bool:
        """Bring it up and return when it answers, with True if it had to be launched. Data and ports are kept."""
        watcher = watcher or Watcher()
        with locked(self.folder / "lock", watcher):
            launched = False
            try:
                if not self.pid:
                    launched = True
                    self._launch(watcher)
                self._wait(time.monotonic() + timeout_s, watcher)
            except BaseException:
                if launched:
                    self._end(self.grace_s)
                raise
            if self.main_pid() not in {0, self.pid}:
                adopt(self._record, self.main_pid())
            return launched

    def stop(self) -> None:
        """Ask it to stop, kill it if it will not; nothing of it is alive afterwards."""
        if self.folder.exists():
            with locked(self.folder / "lock"):
                self._end(self.grace_s)

    def kill(self) -> None:
        """SIGKILL, like a crash; its state is then `died`."""
        record = read_record(self._record)
        if record is not None:
            end(record, grace_s=0)

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        self._signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Stop it and remove its data, ports and passwords."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_tail(self) -> str:
        """What it printed last in this start, and above that what looks like a cause."""
        output = self._output.read_bytes()[self._output_before :] if self._output.exists() else b""
        lines = output.decode("utf-8", errors="replace").splitlines()
        causes = [line for line in lines[:-_LOG_LINES] if _CAUSE.search(line)]
        found = [*causes[-_LOG_CAUSES:], *lines[-_LOG_LINES:]] or ["(it printed nothing)"]
        return "\n".join(f"  {line[:_LOG_WIDTH]}" for line in found)

    def _launch(self, watcher: Watcher) -> None:
        self._choose_ports()
        self.prepare(watcher)
        watcher.check()
        self._output_before = self._output.stat().st_size if self._output.exists() else 0
        command = [*identity.prefix(self.reach()), *self.command()]
        spawn(command, record=self._record, log=self._output, env=self.environment())

    def _wait(self, deadline: float, watcher: Watcher) -> None:
        while not self.answers():
            if not self.pid:
                raise self._failure("ended before it was ready")
            if time.monotonic() > deadline:
                raise self._failure("did not answer in time")
            watcher.sleep(_POLL_S)

    def _failure(self, what: str) -> ServerStartError:
        return ServerStartError(
            f"{self.name} {what}; the last lines of its log:\n{self.log_tail()}",
            where=str(self._output),
            hint="if its data is the trouble, `tidemark stack down --wipe` starts over with none",
        )

    def _signal(self, number: signal.Signals) -> None:
        record = read_record(self._record)
        for process in record.members() if record else ():
            proc.send(process, number)

    def _end(self, grace_s: float) -> None:
        record = read_record(self._record)
        if record is not None and not end(record, grace_s=grace_s):
            raise StackError(f"{self.name} cannot be ended", where=f"pid {self.pid}")
        self._record.unlink(missing_ok=True)

    def _choose_ports(self) -> None:
        ports = {name: port for name, port in self.ports.items() if _is_free_soon(port)}
        if self._wanted_port:
            ports["port"] = self._wanted_port
        for name in self.port_names:
            ports.setdefault(name, free_port(ports.values()))
        self._note(ports=ports)

    @property
    def _output(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def _record(self) -> Path:
        return self.folder / "process.json"

    @property
    def _noted(self) -> dict[str, Any]:
        return files.read_json(self.folder / "server.json")

    def _note(self, **facts: object) -> None:
        files.write(self.folder / "server.json", json.dumps({**self._noted, **facts}))


def _is_free_soon(port: int) -> bool:
    """Patient with a port that clients know: it is given up only if somebody else holds on to it."""
    deadline = time.monotonic() + _PORT_PATIENCE_S
    while not (free := is_free(port)) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return free
