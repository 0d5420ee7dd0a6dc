"""Maven artifacts, pinned by SHA-256 in `artifacts.lock`, in a cache that all checkouts share.

They are fetched by `mvn`, so the user's mirrors and proxies apply, and Maven's own part files make an
interrupted download go on where it stopped. Nothing is used before its hash was compared.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from stack import apt
from stack.errors import ChecksumError, DownloadError
from stack.lock import locked
from stack.paths import cache_dir
from stack.run import run
from stack.watcher import Watcher

LOCK = Path(__file__).with_name("artifacts.lock")
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
_PROJECT = """<project><modelVersion>4.0.0</modelVersion>
<groupId>tidemark</groupId><artifactId>fetch</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>{}</dependencies></project>
"""
_DEPENDENCY = """<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version><type>{}</type>
<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One file of a registry, and the only content that we accept for it."""

    group: str
    name: str
    version: str
    kind: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.version}.{self.kind}"

    def matches(self, path: Path) -> bool:
        return path.is_file() and sha256(path) == self.sha256


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parse_lock(text: str) -> dict[str, list[Artifact]]:
    """Sections of `group:name:version:kind sha256:<hex>` lines."""
    sections: dict[str, list[Artifact]] = {}
    here: list[Artifact] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("["):
            here = sections.setdefault(line.strip("[]"), [])
        elif not line.startswith("#"):
            coordinates, _, digest = line.partition(" sha256:")
            group, name, version, kind = coordinates.split(":")
            here.append(Artifact(group=group, name=name, version=version, kind=kind, sha256=digest))
    return sections


def locked_artifacts(section: str) -> list[Artifact]:
    return parse_lock(LOCK.read_text(encoding="utf-8"))[section]


def version_of(section: str, name: str) -> str:
    """The pinned version of one artifact."""
    return next(item.version for item in locked_artifacts(section) if item.name == name)


def fetch(section: str, watcher: Watcher) -> Path:
    """The folder that holds exactly the verified files of one section of the lock file."""
    wanted = locked_artifacts(section)
    version = hashlib.sha256("".join(item.sha256 for item in wanted).encode()).hexdigest()[:8]
    folder = cache_dir() / "artifacts" / f"{section}-{version}"
    with locked(cache_dir() / f"{section}.lock", watcher):
        missing = [item for item in wanted if not item.matches(folder / item.file_name)]
        if missing:
            watcher.say(f"fetching {section} from Maven (once, {len(missing)} files)")
            _fetch_missing(missing, folder, watcher)
    return folder


def _fetch_missing(missing: Sequence[Artifact], folder: Path, watcher: Watcher) -> None:
    draft = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    folder.mkdir(parents=True, exist_ok=True)
    for attempt in Retrying(
        retry=retry_if_exception_type(DownloadError),
        stop=stop_after_attempt(4),
        wait=wait_exponential(multiplier=2, max=20),
        sleep=watcher.sleep,
        reraise=True,
    ):
        with attempt:
            _copy(missing, draft, watcher)
    for item in missing:
        verify(item, draft / item.file_name)
        (draft / item.file_name).replace(folder / item.file_name)
    shutil.rmtree(draft)


def _copy(artifacts: Sequence[Artifact], draft: Path, watcher: Watcher) -> None:
    mvn = apt.ensure("mvn", "maven", watcher)
    project = draft / "pom.xml"
    project.write_text(render_project(artifacts), encoding="utf-8")
    options = [f"-DoutputDirectory={draft}", "-DexcludeTransitive=true"]
    command = [mvn, "-B", "-ntp", "-f", str(project), f"{PLUGIN}:copy-dependencies", *options]
    outcome = run(command, log=draft / "mvn.log", watcher=watcher)
    if outcome.code != 0:
        errors = [line for line in outcome.output.splitlines() if line.startswith("[ERROR]")]
        said = "\n".join(errors[:4]) or outcome.tail()
        raise DownloadError(
            f"Maven could not fetch {len(artifacts)} file(s):\n{said}",
            hint="check the network, or a mirror in ~/.m2/settings.xml; run it again and it goes on from here",
        )


def render_project(artifacts: Sequence[Artifact]) -> str:
    """A Maven project that depends on exactly these files and nothing they depend on."""
    rows = (
        _DEPENDENCY.format(escape(item.group), escape(item.name), escape(item.version), escape(item.kind))
        for item in artifacts
    )
    return _PROJECT.format("".join(rows))


def verify(artifact: Artifact, path: Path) -> None:
    """Raise unless the file is there and is the one that the lock file names."""
    if not path.is_file():
        raise DownloadError(f"Maven did not deliver {artifact.file_name}", where=str(path.parent))
    found = sha256(path)
    if found != artifact.sha256:
        raise ChecksumError(
            f"{artifact.file_name} is not the file that was pinned: SHA-256 is {found}, expected {artifact.sha256}",
            where=str(path),
            hint="remove it from Maven's local repository (~/.m2/repository) and try again; if it is the same "
            "afterwards, do not use it",
        )
