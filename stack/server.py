"""What the three servers have in common: a folder, ports, a process, and a way to see that it answers."""

from __future__ import annotations

import json
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from stack import identity
from stack.cancel import Cancel, never
from stack.errors import ServerStartError
from stack.ports import HOST, free_port, is_free
from stack.process import ProcessRecord, adopt, end, read_record, spawn, write_atomically
from stack.status import ServerState, ServerStatus

_LOG_LINES = 20
_POLL_S = 0.1


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

    # What each server does in its own way.

    @abstractmethod
    def prepare(self, cancel: Cancel) -> None:
        """Make the data folder and the configuration; keep what is there. Sets `version`."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The command line, without the words that change the user."""

    @abstractmethod
    def answers(self) -> bool:
        """True if it does what clients need; must return within seconds."""

    def environment(self) -> Mapping[str, str]:
        return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "TZ": "UTC"}

    def reach(self) -> Sequence[Path]:
        """Folders that the server's user must get to."""
        return [self.folder]

    def main_pid(self) -> int:
        """The pid to record once it answers; 0 to keep that of the command."""
        return 0

    def clear_leftovers(self) -> None:
        """Remove what a killed server left and a new one would stumble over."""

    # The same for all.

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def port(self) -> int:
        """0 before the first start."""
        return self.ports.get("port", self._wanted_port)

    @property
    def ports(self) -> dict[str, int]:
        found: dict[str, int] = self._facts.get("ports", {})
        return found

    @property
    def version(self) -> str:
        return str(self._facts.get("version", ""))

    @property
    def pid(self) -> int:
        """0 if it does not run."""
        record = read_record(self._record)
        members = record.members() if record else []
        if record and any(process.pid == record.pid for process in members):
            return record.pid
        return members[0].pid if members else 0

    @property
    def state(self) -> ServerState:
        if not self._record.exists():
            return ServerState.STOPPED
        if not self.pid:
            return ServerState.DIED
        return ServerState.RUNNING if self.answers() else ServerState.UNREADY

    def status(self) -> ServerStatus:
        return ServerStatus(
            name=self.name,
            state=self.state,
            host=HOST,
            port=self.port,
            pid=self.pid,
            version=self.version,
            log=self.log,
        )

    def start(self, *, timeout_s: float = 120, cancel: Cancel = never) -> None:
        """Bring it up and return when it answers; does nothing if it does. Data and ports are kept."""
        if self.state is ServerState.RUNNING:
            return
        try:
            if not self.pid:
                self._launch(cancel)
            self._wait(time.monotonic() + timeout_s, cancel)
        except BaseException:
            self.stop()
            raise
        if self.main_pid():
            adopt(self._record, self.main_pid())

    def stop(self) -> None:
        """Ask it to stop, kill it if it will not; nothing of it is alive afterwards."""
        self._end(self.grace_s)
        self._record.unlink(missing_ok=True)

    def kill(self) -> None:
        """kill -9, as a power cut would; the record stays, so its state is `died`."""
        self._end(0)

    def wipe(self) -> None:
        """Stop it and remove its data, ports and passwords."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _launch(self, cancel: Cancel) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._choose_ports()
        self.prepare(cancel)
        self.clear_leftovers()
        cancel.check()
        command = [*identity.prefix(self.reach()), *self.command()]
        self._child = spawn(command, record=self._record, log=self.log, env=self.environment())

    def _wait(self, deadline: float, cancel: Cancel) -> None:
        while not self.answers():
            if not self.pid:
                raise self._failure("ended before it was ready")
            if time.monotonic() > deadline:
                raise self._failure("did not answer in time")
            cancel.sleep(_POLL_S)

    def _failure(self, what: str) -> ServerStartError:
        return ServerStartError(
            f"{self.name} {what}; the last lines of its log:\n{self.log_tail()}",
            where=str(self.log),
            hint="`tidemark stack down --wipe` starts over with empty data, if the data is the trouble",
        )

    def log_tail(self, lines: int = _LOG_LINES) -> str:
        if not self.log.exists():
            return "  (no log)"
        text = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
        return "\n".join(f"  {line}" for line in text)

    def _end(self, grace_s: float) -> None:
        record = read_record(self._record)
        if isinstance(record, ProcessRecord):
            end(record, grace_s=grace_s)

    def _choose_ports(self) -> None:
        ports = {name: port for name, port in self.ports.items() if is_free(port)}
        if self._wanted_port:
            ports["port"] = self._wanted_port
        for name in self.port_names:
            ports.setdefault(name, free_port(ports.values()))
        self._note(ports=ports)

    @property
    def _record(self) -> Path:
        return self.folder / "process.json"

    @property
    def _facts(self) -> dict[str, object]:
        try:
            found: dict[str, object] = json.loads((self.folder / "server.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return found

    def _note(self, **facts: object) -> None:
        write_atomically(self.folder / "server.json", json.dumps({**self._facts, **facts}))
