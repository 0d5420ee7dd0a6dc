"""A tree of Debian sid packages that holds MySQL, run through that tree's own loader: no chroot, no container.

debootstrap works out the packages, downloads them and checks Debian's signatures; they are only unpacked, none
of their scripts runs, so a user namespace is enough where we are not root. sid moves on, so nothing is pinned:
the versions that came are recorded.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from stack import apt, files
from stack.errors import ELSEWHERE, DownloadError, MissingToolError
from stack.lock import locked
from stack.paths import cache_dir
from stack.run import run
from stack.watcher import Watcher

_PACKAGES = ("mysql-server-core", "mysql-client-core")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale")


def mysql_root(watcher: Watcher) -> Path:
    """The tree with mysqld in it, made on first use (half a minute)."""
    root = cache_dir() / "debian-sid-mysql"
    if (root / "versions.json").exists():
        return root
    with locked(root.with_name(f"{root.name}.lock"), watcher):
        if not (root / "versions.json").exists():
            _make(root, watcher)
    return root


def versions(root: Path) -> dict[str, str]:
    """Package versions in a tree: `{"mysql-server-core": "9.7.4-2", "libc6": ...}`."""
    return {str(name): str(version) for name, version in files.read_json(root / "versions.json").items()}


def through_loader(root: Path, program: str) -> list[str]:
    """The command prefix that runs `program` (a path inside the tree) with the tree's own libraries."""
    machine = platform.machine()
    loader = next(iter(sorted(root.glob(f"usr/lib/{machine}-linux-gnu/ld-linux*.so.*"))), None)
    if loader is None:
        raise MissingToolError(f"no loader for {machine} in the MySQL tree", where=str(root), hint=ELSEWHERE)
    return [str(loader), "--library-path", f"{loader.parent}:{root}/usr/lib/mysql/private", str(root / program)]


def _make(root: Path, watcher: Watcher) -> None:
    watcher.say("fetching MySQL from Debian sid (once, about 150 MB)")
    downloads = root.with_name(f"{root.name}.downloads")  # kept after a failure, to go on from there
    for attempt in Retrying(
        retry=retry_if_exception_type(DownloadError),
        stop=stop_after_attempt(4),
        wait=wait_exponential(multiplier=2, max=20),
        sleep=watcher.sleep,
        reraise=True,
    ):
        with attempt:
            _download(downloads, watcher)
    draft = root.with_name(f"{root.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    packages = sorted(downloads.glob("var/cache/apt/archives/*.deb"))
    _unpack(packages, draft, watcher)
    found = dict(_name_and_version(package) for package in packages)
    files.write(draft / "versions.json", json.dumps(found, indent=1), mode=0o644)
    shutil.rmtree(root, ignore_errors=True)
    draft.rename(root)
    shutil.rmtree(downloads)


def _download(folder: Path, watcher: Watcher) -> None:
    debootstrap = apt.ensure("debootstrap", "debootstrap", watcher)
    if not _KEYRING.exists():
        apt.install("debian-archive-keyring", watcher)
    wanted = [f"--include={','.join(_PACKAGES)}", "--variant=minbase", "sid", str(folder)]
    checked = ["--force-check-gpg", f"--keyring={_KEYRING}"]
    command = [*_as_root(), debootstrap, "--download-only", *checked, *wanted]
    # debootstrap does not vouch for the index files that it finds, so it gets new ones; packages it checks again.
    shutil.rmtree(folder / "var/lib/apt", ignore_errors=True)
    env = {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
    outcome = run(command, log=folder.with_name("debootstrap.log"), watcher=watcher, env=env)
    if outcome.code != 0:
        raise DownloadError(
            f"debootstrap could not fetch {' and '.join(_PACKAGES)}:\n{outcome.tail()}",
            where=str(folder),
            hint=f"check the network and run it again, it goes on from here; {ELSEWHERE}",
        )


def _as_root() -> list[str]:
    """Words that make debootstrap see itself as root, which it insists on even to download."""
    if os.geteuid() == 0:
        return []
    unshare = shutil.which("unshare")
    if unshare is None:
        raise MissingToolError("unshare is not there", hint=f"sudo apt-get install util-linux; {ELSEWHERE}")
    return [unshare, "--map-root-user"]


def _unpack(packages: Sequence[Path], draft: Path, watcher: Watcher) -> None:
    draft.mkdir(parents=True)
    log = draft.with_name("dpkg-deb.log")
    for package in packages:
        outcome = run(["dpkg-deb", "--extract", str(package), str(draft)], log=log, watcher=watcher)
        if outcome.code != 0:
            raise DownloadError(f"{package.name} could not be unpacked:\n{outcome.tail()}", where=str(draft))
    for folder in _UNUSED:
        shutil.rmtree(draft / folder, ignore_errors=True)


def _name_and_version(package: Path) -> tuple[str, str]:
    name, version, _ = package.name.split("_")
    return name, version.replace("%3a", ":")
