"""Which user the servers run as, and how they get to folders below a private home.

Elasticsearch refuses to run as root, and mysqld should not. When we are root, all servers run as `nobody`.
That user cannot pass through a folder like root's home or pytest's private temporary folders, so where the path
to the data or the cache needs it (and only there), the server gets the one capability that lets it through.
Java asks with access(2), which ignores capabilities of ordinary users unless `no_setuid_fixup` is set
(capabilities(7), "The securebits flags").
"""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterable
from pathlib import Path

from stack.errors import MissingToolError

_USER = "nobody"


def owner() -> tuple[int, int] | None:
    """User and group id that the servers' data must belong to; None when the servers run as ourselves."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(_USER)
    return entry.pw_uid, entry.pw_gid


def give(path: Path) -> None:
    """Hand a file or a whole folder to the servers' user."""
    who = owner()
    if who is None:
        return
    for entry in (path, *path.rglob("*")) if path.is_dir() else (path,):
        os.chown(entry, *who, follow_symlinks=False)


def dies_with_us() -> list[str]:
    """Words before a helper's command that end it when we die, be it by SIGKILL."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig=KILL", "--"] if setpriv else []


def prefix(folders: Iterable[Path], *, helper: bool = False) -> list[str]:
    """Words before a server's command that make it run as the servers' user.

    For a `helper` also those of `dies_with_us`: a change of user would undo the outer ones (prctl(2)).
    """
    who = owner()
    if who is None:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise MissingToolError("setpriv is not installed", hint="apt-get install util-linux")
    words = [setpriv, f"--reuid={who[0]}", f"--regid={who[1]}", "--clear-groups"]
    if helper:
        words.append("--pdeathsig=KILL")
    if all(_passable(folder, *who) for folder in folders):
        return [*words, "--inh-caps=-all", "--ambient-caps=-all", "--"]
    through = "-all,+dac_override"
    return [*words, "--securebits=+no_setuid_fixup", f"--inh-caps={through}", f"--ambient-caps={through}", "--"]


def _passable(folder: Path, uid: int, gid: int) -> bool:
    """True if that user may enter `folder` and everything above it."""
    for step in (folder, *folder.parents):
        if not step.exists():
            continue
        found = step.stat()
        bit = 0o100 if found.st_uid == uid else 0o010 if found.st_gid == gid else 0o001
        if not found.st_mode & bit:
            return False
    return True
