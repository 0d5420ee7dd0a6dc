"""`python -m stack.relock`: work out `artifacts.lock` anew, after a version in `ROOTS` was changed.

Maven resolves what a root needs; the hashes are of what it delivers here and now, so read the difference
before committing it.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from stack import apt
from stack.artifacts import PLUGIN, sha256
from stack.errors import DownloadError
from stack.run import run
from stack.watcher import Watcher

_SERVER = "org.elasticsearch.distribution.integ-test-zip:elasticsearch"
ROOTS: dict[str, Sequence[str]] = {
    "kafka": (
        "org.apache.kafka:kafka_2.13:4.3.0:jar",
        "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4:jar",  # without it the broker logs nothing
    ),
    "debezium": (
        "org.apache.kafka:connect-runtime:4.1.1:jar",
        "org.apache.kafka:connect-json:4.1.1:jar",
        "io.debezium:debezium-connector-mysql:3.4.0.Final:jar",
        "org.apache.logging.log4j:log4j-slf4j-impl:2.25.1:jar",
    ),
    "elasticsearch-9": (f"{_SERVER}:9.5.0:zip",),
    "elasticsearch-8": (f"{_SERVER}:8.19.0:zip",),  # the last that runs on Java 17
}
_PROJECT = """<project><modelVersion>4.0.0</modelVersion>
<groupId>tidemark</groupId><artifactId>relock</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>{}</dependencies></project>
"""
_DEPENDENCY = (
    "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version><type>{}</type></dependency>"
)
_RESOLVED = re.compile(r"^\[INFO\] +([\w.-]+):([\w.-]+):(\w+):([\w.-]+):(?:compile|runtime)", re.MULTILINE)


def resolve(section: str) -> list[str]:
    """The lines of one section of the lock file."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        rows = (_DEPENDENCY.format(*map(escape, root.split(":"))) for root in ROOTS[section])
        (place / "pom.xml").write_text(_PROJECT.format("".join(rows)), encoding="utf-8")
        _maven(place, "copy-dependencies", f"-DoutputDirectory={place}")
        found = _RESOLVED.findall(_maven(place, "list"))
        return sorted(
            f"{group}:{name}:{version}:{kind} sha256:{sha256(place / f'{name}-{version}.{kind}')}"
            for group, name, kind, version in set(found)
        )


def _maven(place: Path, goal: str, *options: str) -> str:
    watcher = Watcher()
    mvn = apt.ensure("mvn", "maven", watcher)
    command = [mvn, "-B", "-ntp", "-f", str(place / "pom.xml"), f"{PLUGIN}:{goal}", "-DincludeScope=runtime", *options]
    outcome = run(command, log=place / "mvn.log", watcher=watcher)
    if outcome.code != 0:
        raise DownloadError(f"Maven could not resolve:\n{outcome.tail()}")
    return outcome.output


def main() -> None:
    """Print the new lock file."""
    sections = ("\n".join([f"[{section}]", *resolve(section)]) for section in ROOTS)
    sys.stdout.write("\n\n".join(sections) + "\n")


if __name__ == "__main__":
    main()
