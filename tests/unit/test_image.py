"""deploy/Dockerfile, held to its promises without an engine."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STEPS = (ROOT / "deploy/Dockerfile").read_text().replace("\\\n", " ").splitlines()
BUILD, LAST = [index for index, step in enumerate(STEPS) if re.match(r"FROM python:", step)]
IGNORED = (ROOT / "deploy/Dockerfile.dockerignore").read_text().split()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTENSIONS = PYPROJECT["tool"]["setuptools-rust"]["ext-modules"]


def sent(path: str) -> bool:
    """Whether the builder gets the file: the last rule wins that fits the path or a folder above it."""
    folders = ["/".join(path.split("/")[: depth + 1]) for depth in range(path.count("/") + 1)]
    answer = True
    for rule in IGNORED:
        pattern = rule.removeprefix("!").removeprefix("**/")
        names = [name.rpartition("/")[2] for name in folders] if "**/" in rule else folders
        if any(fnmatch.fnmatch(name, pattern) for name in names):
            answer = rule.startswith("!")
    return answer


def test_bases_have_a_whole_version_and_one_c_library() -> None:
    bases = [step.split()[1] for step in STEPS if step.startswith("FROM")]
    assert all(re.fullmatch(r"(python|rust):\d+\.\d+\.\d+-(slim-)?bookworm", base) for base in bases), bases
    pythons = {base.split("-")[0] for base in bases if base.startswith("python")}
    assert len(pythons) == 1, "the environment is built with the Python that runs it"
    assert STEPS[LAST].endswith("-slim-bookworm"), "no compiler in what runs"


def test_only_what_is_locked_is_installed() -> None:
    installs = [part for step in STEPS if step.startswith("RUN") for part in step.split("&&") if "pip install" in part]
    assert installs
    for install in installs:
        assert "--require-hashes" in install or "--no-index" in install, install
    assert "--no-build-isolation" in "".join(STEPS)
    assert all("--locked" in extension["args"] for extension in EXTENSIONS)
    assert (ROOT / "requirements.lock").read_text().count("--hash=sha256:") > 10


def test_the_native_extensions_are_in_it() -> None:
    wheel = next(step for step in STEPS[BUILD:LAST] if "pip wheel" in step)
    assert "TIDEMARK_NATIVE=require " in wheel
    loaded = "".join(step for step in STEPS[LAST:] if "import " in step)
    assert len(EXTENSIONS) == 2
    assert all(extension["target"] in loaded for extension in EXTENSIONS), "loaded where they run"


def test_the_toolchain_is_new_enough_for_the_crates() -> None:
    has = next(re.findall(r"rust:(\d+)\.(\d+)", step)[0] for step in STEPS if step.startswith("FROM rust:"))
    for extension in EXTENSIONS:
        needs = tomllib.loads((ROOT / extension["path"]).read_text())["package"]["rust-version"].split(".")
        assert [int(part) for part in has] >= [int(part) for part in needs]


def test_it_runs_as_nobody_in_particular() -> None:
    assert [step for step in STEPS if step.startswith("USER")] == ["USER 10001"]
    assert any("--uid 10001" in step for step in STEPS)


@pytest.mark.parametrize(
    "path",
    [
        "setup.py",  # without it TIDEMARK_NATIVE means nothing
        "pyproject.toml",
        "requirements.lock",
        *(
            f"{room}/native/{name}"
            for room in ("cdc", "schemas")
            for name in ("Cargo.toml", "Cargo.lock", "src/lib.rs")
        ),
        *(f"{package.replace('.', '/')}/__init__.py" for package in PYPROJECT["tool"]["setuptools"]["packages"]),
    ],
)
def test_what_is_built_is_sent_to_the_builder(path: str) -> None:
    assert (ROOT / path).exists()
    assert sent(path)


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".venv/bin/python",
        "cdc/native/target/release/libtidemark_native.so",
        "cdc/native/fuzz/corpus/rows/seed",
        "cdc/source/_native.abi3.so",
        "schemas/_native.abi3.so",
        "schemas/native/target/release/libtidemark_records.so",
        "deploy/secrets/mysql_password",
        "tests/conftest.py",
        "tidemark.toml",
    ],
)
def test_nothing_else_is(path: str) -> None:
    assert not sent(path)
