"""Folders, locks, users, Java: what the servers stand on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from stack import apt, debian, docker, files, identity, java, paths
from stack.errors import CancelledError, MissingToolError
from stack.lock import locked
from stack.run import run
from stack.watcher import Watcher


def test_folders_follow_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/jo")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere/cache")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert paths.cache_dir() == Path("/somewhere/cache/tidemark")
    assert paths.state_dir() == Path("/home/jo/.local/state/tidemark/stack")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, says the specification
    assert paths.cache_dir() == Path("/home/jo/.cache/tidemark")


def test_a_lock_is_held_by_one_and_freed_by_death(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from stack.lock import locked\n"
        "with locked(Path(sys.argv[1])): print('mine', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, tmp_path / "lock"], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "mine\n"
    watcher = Watcher()
    threading.Timer(0.2, watcher.stop).start()
    with pytest.raises(CancelledError), locked(tmp_path / "lock", watcher):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with locked(tmp_path / "lock"):
        pass


def test_threads_exclude_each_other_too(tmp_path: Path) -> None:
    inside: list[str] = []

    def visit(name: str) -> None:
        with locked(tmp_path / "lock"):
            inside.append(f"{name} in")
            time.sleep(0.1)
            inside.append(f"{name} out")

    threads = [threading.Thread(target=visit, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inside in (["a in", "a out", "b in", "b out"], ["b in", "b out", "a in", "a out"])


def test_a_helper_is_ended_with_its_children_when_nobody_wants_it_any_more(tmp_path: Path) -> None:
    watcher, log = Watcher(), tmp_path / "log"

    def cancel() -> None:
        deadline = time.monotonic() + 60
        while not (log.exists() and log.read_text().endswith("\n")) and time.monotonic() < deadline:
            time.sleep(0.02)
        watcher.stop()

    threading.Thread(target=cancel).start()
    with pytest.raises(CancelledError):
        run(["sh", "-c", "sleep 61 & echo $!; wait"], log=log, watcher=watcher)
    child = int(log.read_text())
    deadline = time.monotonic() + 60
    while (Path("/proc") / str(child)).exists() and b"sleep" in (Path("/proc") / str(child) / "cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_helper_dies_with_us_even_by_sigkill(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from stack.run import run; from stack.watcher import Watcher\n"
        "run(['sh', '-c', 'echo $$; exec sleep 62'], log=Path(sys.argv[1]), watcher=Watcher())"
    )
    log = tmp_path / "log"
    parent = subprocess.Popen([sys.executable, "-c", script, log])
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    cmdline = Path(f"/proc/{log.read_text().strip()}/cmdline")
    deadline = time.monotonic() + 60
    while cmdline.exists() and b"sleep" in cmdline.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_files_are_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "x"
    files.write(path, "old")
    assert path.stat().st_mode & 0o777 == 0o600
    files.write(path, "new", mode=0o644)
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(tmp_path) == ["x"]  # noqa: PTH208


def test_only_a_private_path_needs_a_capability(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "owner", lambda: (65534, 65534))
    private = tmp_path / "private" / "below"
    private.mkdir(parents=True)
    private.parent.chmod(0o700)
    assert not any("dac_override" in word for word in identity.prefix([Path("/usr")]))
    assert any("dac_override" in word for word in identity.prefix([Path("/usr"), private]))
    monkeypatch.setattr(identity, "owner", lambda: None)
    assert identity.prefix([private]) == []


def make_java(home: Path, version: str) -> Path:
    (home / "bin").mkdir(parents=True)
    (home / "bin/java").write_text("")
    (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return home


def test_the_newest_java_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "_JVM_FOLDER", tmp_path / "jvm")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert java.newest() is None
    make_java(tmp_path / "jvm/a", "17.0.15")
    wanted = make_java(tmp_path / "mine", "25")
    (tmp_path / "jvm/broken").mkdir()
    monkeypatch.setenv("JAVA_HOME", str(wanted))
    found = java.newest()
    assert found is not None
    assert (found.home, found.major) == (wanted, 25)


def test_no_java_and_no_root_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "newest", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MissingToolError) as caught:
        java.ensure(Watcher())
    assert "sudo apt-get install openjdk-17-jre-headless" in caught.value.hint
    assert "--docker" in caught.value.hint
    assert "TIDEMARK_TEST_MYSQL" in caught.value.hint


def test_a_missing_program_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(apt.shutil, "which", lambda name, **_: "/usr/bin/apt-get" if name == "apt-get" else None)
    with pytest.raises(MissingToolError) as caught:
        apt.ensure("mvn", "maven", Watcher())
    assert "sudo apt-get update && sudo apt-get install maven" in caught.value.hint


def test_no_debian_names_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt.shutil, "which", lambda _name, **_: None)
    with pytest.raises(MissingToolError, match="not a Debian-like system") as caught:
        apt.ensure("mvn", "maven", Watcher())
    assert "--docker" in caught.value.hint


def test_package_names_and_versions() -> None:
    assert debian._name_and_version(Path("zlib1g_1%3a1.3.dfsg-4_amd64.deb")) == ("zlib1g", "1:1.3.dfsg-4")


def test_docker_without_docker_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker.shutil, "which", lambda _name: None)
    with pytest.raises(Exception, match="docker compose") as caught:
        docker.up()
    assert caught.value.exit_code == 2  # type: ignore[attr-defined]


def test_compose_states() -> None:
    rows = docker._rows(
        '{"Service":"mysql","State":"running","Health":"healthy"}\n{"Service":"kafka","State":"exited"}\n'
    )
    assert [str(docker._state(row)) for row in (*rows, None)] == ["running", "died", "stopped"]
    assert docker._rows('[{"Service":"mysql"}]') == [{"Service": "mysql"}]
