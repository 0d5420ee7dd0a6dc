"""A minimal Debian sid tree that holds MySQL, run through that tree's own loader: no chroot, no container.

debootstrap checks Debian's signatures. sid moves on, so nothing is pinned; the versions that came are recorded.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
from pathlib import Path

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from stack import apt
from stack.cancel import Cancel
from stack.errors import ELSEWHERE, DownloadError, MissingToolError
from stack.lock import locked
from stack.paths import cache_dir
from stack.process import write_atomically
from stack.run import run

_PACKAGES = ("mysql-server-core", "mysql-client-core")


def mysql_root(cancel: Cancel) -> Path:
    """The tree with mysqld in it, made on first use (half a minute)."""
    root = cache_dir() / "mysql-sid"
    if (root / "versions.json").exists():
        return root
    with locked(cache_dir() / "mysql-sid.lock", cancel):
        if not (root / "versions.json").exists():
            _make(root, cancel)
    return root


def versions(root: Path) -> dict[str, str]:
    """Package versions in a tree: `{"mysql-server-core": "9.7.4-2", ...}`."""
    found: dict[str, str] = json.loads((root / "versions.json").read_text(encoding="utf-8"))
    return found


def _make(root: Path, cancel: Cancel) -> None:
    if os.geteuid() != 0:
        hint = f"run `sudo -E tidemark stack up` once, so that the tree is there; {ELSEWHERE}"
        raise MissingToolError("MySQL comes from debootstrap, and only root can run that", hint=hint)
    debootstrap = apt.ensure("debootstrap", "debootstrap", cancel)
    draft = root.with_name(f"{root.name}.part")
    command = [debootstrap, "--variant=minbase", f"--include={','.join(_PACKAGES)}", "sid", str(draft)]
    for attempt in Retrying(
        retry=retry_if_exception_type(DownloadError),
        stop=stop_after_attempt(4),
        wait=wait_exponential(multiplier=2, max=20),
        sleep=cancel.sleep,
        reraise=True,
    ):
        with attempt:
            _debootstrap(command, draft, cancel)
    write_atomically(draft / "versions.json", json.dumps(_read_versions(draft), indent=1), mode=0o644)
    shutil.rmtree(draft / "var/cache/apt/archives", ignore_errors=True)
    shutil.rmtree(root, ignore_errors=True)
    draft.rename(root)


def _debootstrap(command: list[str], draft: Path, cancel: Cancel) -> None:
    # A half-made tree cannot be finished, but the packages in it need not be fetched again.
    archives = draft / "var/cache/apt/archives"
    kept = draft.with_name(f"{draft.name}.archives")
    if archives.is_dir():
        shutil.rmtree(kept, ignore_errors=True)
        archives.rename(kept)
    shutil.rmtree(draft, ignore_errors=True)
    if kept.is_dir():
        archives.parent.mkdir(parents=True)
        kept.rename(archives)
    outcome = run(command, log=draft.with_name("debootstrap.log"), cancel=cancel)
    if outcome.code != 0:
        raise DownloadError(
            f"debootstrap could not make a tree with {', '.join(_PACKAGES)}:\n{outcome.tail()}",
            where=str(draft),
            hint=f"check the network and run it again; {ELSEWHERE}",
        )


def _read_versions(root: Path) -> dict[str, str]:
    status = (root / "var/lib/dpkg/status").read_text(encoding="utf-8")
    pairs = re.findall(r"^Package: (\S+)$.*?^Version: (\S+)$", status, re.MULTILINE | re.DOTALL)
    wanted = (*_PACKAGES, "libc6", "libssl3t64")
    return {name: version for name, version in pairs if name.startswith(wanted)}


def through_loader(root: Path, program: str) -> list[str]:
    """The command prefix that runs `program` (a path inside the tree) with the tree's own libraries."""
    machine = platform.machine()
    loader = next(iter(sorted(root.glob(f"usr/lib/{machine}-linux-gnu/ld-linux*.so.*"))), None)
    if loader is None:
        raise MissingToolError(f"no loader for {machine} in the MySQL tree", where=str(root), hint=ELSEWHERE)
    libraries = f"{loader.parent}:{root}/usr/lib/mysql/private"
    return [str(loader), "--library-path", libraries, str(root / program)]
