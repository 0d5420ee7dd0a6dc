"""Short-lived helper programs: apt-get, mvn, debootstrap, java."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stack import identity
from stack.watcher import Watcher

_POLL_S = 0.1
_GRACE_S = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a helper ended, with everything it printed."""

    code: int
    output: str

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.output.strip().splitlines()[-lines:])


def run(
    command: Sequence[str],
    *,
    log: Path,
    watcher: Watcher,
    env: Mapping[str, str] | None = None,
    outlive: bool = False,
) -> Outcome:
    """Run to the end, output to `log`; ended early, with its children, when the watcher wishes to stop.

    If we are killed it dies with us, unless it may `outlive` us because it must not be torn out of its work.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        child = subprocess.Popen(
            [*([] if outlive else identity.dies_with_us()), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            start_new_session=True,
        )
        try:
            _wait(child, watcher)
        finally:
            _end_group(child)
    return Outcome(code=child.returncode, output=log.read_text(encoding="utf-8", errors="replace"))


def _wait(child: subprocess.Popen[bytes], watcher: Watcher) -> None:
    while True:
        try:
            child.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            watcher.check()
        else:
            return


def _end_group(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    # Not SIGTERM: apt-get lets dpkg finish what it is at when it is interrupted.
    os.killpg(child.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        child.wait(_GRACE_S)
    with suppress(ProcessLookupError):  # nobody is left in the group
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
