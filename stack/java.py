"""Java: the one that is there, if it is new enough; else one that the distribution has."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stack import apt
from stack.errors import ELSEWHERE, MissingToolError
from stack.lock import locked
from stack.paths import cache_dir
from stack.watcher import Watcher

KAFKA_NEEDS = 17
ELASTICSEARCH_9_NEEDS = 21
_JVM_FOLDER = Path("/usr/lib/jvm")
_PACKAGES = {25: "openjdk-25-jre-headless", 21: "openjdk-21-jre-headless", 17: "openjdk-17-jre-headless"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Java:
    """A Java home and its major version."""

    home: Path
    major: int

    @property
    def program(self) -> str:
        return str(self.home / "bin" / "java")


def newest() -> Java | None:
    """The newest Java in JAVA_HOME, on PATH and in the JVM folder."""
    found = [java for home in _homes() if (java := read_home(home)) is not None]
    return max(found, key=lambda java: java.major, default=None)


def ensure(watcher: Watcher) -> Java:
    """A Java that Elasticsearch 9 runs on if any can be had, at least one that Kafka runs on."""
    with locked(cache_dir() / "java.lock", watcher):  # Kafka and Elasticsearch ask at the same time
        java = newest()
        if java is None or java.major < ELASTICSEARCH_9_NEEDS:
            java = _install(java, watcher) or java
    if java is None or java.major < KAFKA_NEEDS:
        package = _PACKAGES[KAFKA_NEEDS]
        raise MissingToolError("no Java 17 or newer", hint=f"sudo apt-get install {package}; {ELSEWHERE}")
    return java


def read_home(home: Path) -> Java | None:
    """What the `release` file of a Java home says; None if it is none."""
    if not (home / "bin" / "java").is_file():
        return None
    try:
        release = (home / "release").read_text(encoding="utf-8")
    except OSError:
        return None
    version = re.search(r'^JAVA_VERSION="(\d+)', release, re.MULTILINE)
    return Java(home=home, major=int(version[1])) if version else None


def _homes() -> Iterator[Path]:
    if os.environ.get("JAVA_HOME"):
        yield Path(os.environ["JAVA_HOME"])
    on_path = shutil.which("java")
    if on_path:
        yield Path(on_path).resolve().parent.parent
    if _JVM_FOLDER.is_dir():
        yield from sorted(_JVM_FOLDER.iterdir())


def _install(present: Java | None, watcher: Watcher) -> Java | None:
    """A newer one than `present`, where we may install and the distribution has one."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return None
    newer = [package for major, package in _PACKAGES.items() if present is None or major > present.major]
    package = apt.first_available(newer, watcher, refresh=present is None)
    if package is None:
        return None
    apt.install(package, watcher)
    return newest()
