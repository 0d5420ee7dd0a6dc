"""Nothing is used that is not the pinned file."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from stack import artifacts, relock
from stack.artifacts import Artifact, locked_artifacts, parse_lock, render_project, verify
from stack.errors import ChecksumError, DownloadError
from stack.run import Outcome
from stack.watcher import Watcher

GOOD = b"the real thing"


def pinned(name: str = "thing", content: bytes = GOOD) -> Artifact:
    digest = hashlib.sha256(content).hexdigest()
    return Artifact(group="org.example", name=name, version="1.0", kind="jar", sha256=digest)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(Watcher, "sleep", lambda *_: None)
    return tmp_path / "tidemark"


class Registry:
    """Stands in for `mvn`: delivers per call what it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *deliveries: dict[str, bytes] | None) -> None:
        self.calls: list[list[str]] = []
        self._deliveries = list(deliveries)
        monkeypatch.setattr(artifacts.apt, "ensure", lambda *_: "mvn")
        monkeypatch.setattr(artifacts, "run", self.run)

    def run(self, command: list[str], *, log: Path, watcher: Watcher) -> Outcome:
        self.calls.append(command)
        delivery = self._deliveries.pop(0)
        if delivery is None:
            return Outcome(code=1, output="[INFO] hm\n[ERROR] connection reset\n")
        for name, content in delivery.items():
            (log.parent / name).write_bytes(content)
        return Outcome(code=0, output="")


def lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *items: Artifact) -> None:
    rows = [f"{item.group}:{item.name}:{item.version}:{item.kind} sha256:{item.sha256}" for item in items]
    path = tmp_path / "test.lock"
    path.write_text("\n".join(["# a comment", "[kafka]", *rows]))
    monkeypatch.setattr(artifacts, "LOCK", path)


def test_fetched_once_verified_always(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock(monkeypatch, tmp_path, pinned())
    registry = Registry(monkeypatch, {"thing-1.0.jar": GOOD}, {"thing-1.0.jar": GOOD})
    folder = artifacts.fetch("kafka", Watcher())
    assert [path.name for path in folder.iterdir()] == ["thing-1.0.jar"]
    assert artifacts.fetch("kafka", Watcher()) == folder
    assert len(registry.calls) == 1
    (folder / "thing-1.0.jar").write_bytes(b"rotten")  # a broken disk, or somebody's hand
    artifacts.fetch("kafka", Watcher())
    assert len(registry.calls) == 2
    assert (folder / "thing-1.0.jar").read_bytes() == GOOD


def test_another_file_is_refused_and_never_used(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock(monkeypatch, tmp_path, pinned())
    Registry(monkeypatch, {"thing-1.0.jar": b"something else"})
    with pytest.raises(ChecksumError, match=r"thing-1\.0\.jar is not the file that was pinned") as caught:
        artifacts.fetch("kafka", Watcher())
    assert not caught.value.retryable
    assert not list(cache.glob("artifacts/kafka-????????/*"))


def test_a_network_failure_is_tried_again(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock(monkeypatch, tmp_path, pinned())
    registry = Registry(monkeypatch, None, None, {"thing-1.0.jar": GOOD})
    artifacts.fetch("kafka", Watcher())
    assert len(registry.calls) == 3


def test_a_lasting_failure_says_what_maven_said(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock(monkeypatch, tmp_path, pinned())
    Registry(monkeypatch, None, None, None, None)
    with pytest.raises(DownloadError, match="connection reset") as caught:
        artifacts.fetch("kafka", Watcher())
    assert "mirror" in caught.value.hint


def test_only_what_is_missing_is_fetched(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock(monkeypatch, tmp_path, pinned("a"), pinned("b"))
    files = {"a-1.0.jar": GOOD, "b-1.0.jar": GOOD}
    registry = Registry(monkeypatch, files, files)
    folder = artifacts.fetch("kafka", Watcher())
    (folder / "b-1.0.jar").unlink()
    registry.run = None  # type: ignore[assignment,method-assign]
    asked: list[str] = []
    monkeypatch.setattr(
        artifacts,
        "_copy",
        lambda items, draft, _: (
            asked.extend(item.name for item in items) or [(draft / item.file_name).write_bytes(GOOD) for item in items]
        ),
    )
    artifacts.fetch("kafka", Watcher())
    assert asked == ["b"]


def test_verify_wants_the_file(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="did not deliver"):
        verify(pinned(), tmp_path / "thing-1.0.jar")


def test_a_new_pin_gets_a_folder_of_its_own(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock(monkeypatch, tmp_path, pinned())
    Registry(monkeypatch, {"thing-1.0.jar": GOOD}, {"thing-1.0.jar": b"new"})
    old = artifacts.fetch("kafka", Watcher())
    lock(monkeypatch, tmp_path, pinned(content=b"new"))
    assert artifacts.fetch("kafka", Watcher()) != old
    assert (old / "thing-1.0.jar").read_bytes() == GOOD, "a running server may still read it"


def test_the_project_asks_for_exactly_these_files() -> None:
    project = ET.fromstring(render_project([pinned("a"), pinned("b&c")]))  # noqa: S314
    wanted = project.findall(".//dependency")
    assert [item.findtext("artifactId") for item in wanted] == ["a", "b&c"]
    assert all(item.findtext(".//exclusion/artifactId") == "*" for item in wanted)


def test_the_lock_file_is_whole() -> None:
    sections = parse_lock(artifacts.LOCK.read_text())
    assert set(sections) == {"kafka", "debezium", "elasticsearch-9", "elasticsearch-8"}
    for section, items in sections.items():
        assert len({item.file_name for item in items}) == len(items), section
        assert all(re.fullmatch(r"[0-9a-f]{64}", item.sha256) for item in items), section
    assert artifacts.version_of("elasticsearch-9", "elasticsearch") == "9.5.0"
    assert artifacts.version_of("elasticsearch-8", "elasticsearch") == "8.19.0"
    assert artifacts.version_of("kafka", "kafka_2.13").startswith("4.")
    assert len(locked_artifacts("kafka")) > 40


def test_the_lock_file_holds_what_is_asked_for() -> None:
    sections = parse_lock(artifacts.LOCK.read_text())
    assert set(relock.ROOTS) == set(sections)
    for section, roots in relock.ROOTS.items():
        locked = {f"{item.group}:{item.name}:{item.version}:{item.kind}" for item in sections[section]}
        assert set(roots) <= locked, "python -m stack.relock > stack/artifacts.lock"


def test_no_host_stands_in_the_package() -> None:
    for path in Path(artifacts.__file__).parent.iterdir():
        if path.suffix in {".py", ".lock"}:
            found = set(re.findall(r"https?://([^\s/\"'{]+)", path.read_text()))
            assert not found, path


def test_outcome_tail() -> None:
    assert Outcome(code=1, output="\n".join(map(str, range(40)))).tail(2) == "38\n39"
    assert json.dumps(Outcome(code=0, output="").tail()) == '""'
