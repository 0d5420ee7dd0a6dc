"""Programs that the stack needs, installed where we may, named with the exact command where we may not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from stack.errors import ELSEWHERE, MissingToolError
from stack.lock import locked
from stack.paths import cache_dir
from stack.run import run
from stack.watcher import Watcher


def ensure(program: str, package: str, watcher: Watcher) -> str:
    """The path of `program`, installed from `package` if need be."""
    found = _which(program)
    if found is None:
        install(package, watcher)
        found = _which(program)
    if found is None:
        raise MissingToolError(f"{program} is still not there after installing {package}", hint=ELSEWHERE)
    return found


def _which(program: str) -> str | None:
    """Debian leaves /usr/sbin, where debootstrap is, out of an ordinary user's PATH."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def install(package: str, watcher: Watcher) -> None:
    """`apt-get install`, when root on something Debian-like; else say what to type."""
    if shutil.which("apt-get") is None:
        raise MissingToolError(f"{package} is needed, and this is not a Debian-like system", hint=ELSEWHERE)
    if os.geteuid() != 0:
        hint = f"sudo apt-get update && sudo apt-get install {package}; {ELSEWHERE}"
        raise MissingToolError(f"{package} is needed and only root can install it", hint=hint)
    watcher.say(f"installing {package}")
    with locked(cache_dir() / "apt.lock", watcher):
        log = cache_dir() / "apt.log"
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        command = ["apt-get", "install", "-y", "--no-install-recommends", package]
        outcome = run(command, log=log, watcher=watcher, env=env, outlive=True)
        if outcome.code != 0:
            run(["apt-get", "update"], log=log, watcher=watcher, outlive=True)
            outcome = run(command, log=log, watcher=watcher, env=env, outlive=True)
        if outcome.code != 0:
            raise MissingToolError(f"apt-get could not install {package}:\n{outcome.tail()}", hint=ELSEWHERE)


def first_available(packages: Sequence[str], watcher: Watcher, *, refresh: bool) -> str | None:
    """The first of `packages` that the distribution has; a fresh image knows none before a `refresh`."""
    log = cache_dir() / "apt.log"
    with locked(cache_dir() / "apt.lock", watcher):
        if refresh:
            run(["apt-get", "update"], log=log, watcher=watcher, outlive=True)
        return next((package for package in packages if _has(package, log, watcher)), None)


def _has(package: str, log: Path, watcher: Watcher) -> bool:
    # `apt-cache show` knows names too that other packages only mention.
    return run(["apt-get", "install", "--simulate", package], log=log, watcher=watcher).code == 0
