"""When `make` builds the native extensions again: never for nothing, and always before older ones would be tested."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MADE_FROM = ("pyproject.toml", "requirements.lock", "requirements-dev.lock", "setup.py")
CRATES = (
    *(f"cdc/native/{name}" for name in ("Cargo.toml", "Cargo.lock", "src/lib.rs", "src/decoder/changes.rs")),
    *(f"schemas/native/{name}" for name in ("Cargo.toml", "Cargo.lock", "src/key.rs")),
)
BUILD = "build_ext --inplace"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make in PATH")


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A checkout whose extensions were built, after all that it is built from, without TIDEMARK_NATIVE."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    files = [*MADE_FROM, *CRATES]
    for time_s, name in enumerate([*files, ".venv/.ready", ".venv/.engine-auto"]):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (time_s, time_s))
    return tmp_path


def _plan(house: Path, target: str, native: str | None = None) -> str:
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "TIDEMARK_NATIVE", "VENV")
    env = {name: value for name, value in os.environ.items() if name not in outer}
    if native:
        env["TIDEMARK_NATIVE"] = native
    run = subprocess.run(["make", "-n", target], cwd=house, env=env, capture_output=True, text=True, check=True)
    return run.stdout


@pytest.mark.parametrize("target", ["setup", "test", "bench", "soak", "demo"])
@pytest.mark.parametrize("changed", [*CRATES, "setup.py"])
def test_a_changed_crate_is_built_before_it_is_used(house: Path, target: str, changed: str) -> None:
    assert BUILD not in _plan(house, target)
    (house / changed).touch()
    plan = _plan(house, target)
    assert plan.count(BUILD) == 1
    if target == "test":
        assert plan.index(BUILD) < plan.index("-m pytest")


def test_another_wish_is_another_engine(house: Path) -> None:
    plan = _plan(house, "test", "require")
    assert "rm -f .venv/.engine-* cdc/source/_native*.so schemas/_native*.so" in plan
    assert plan.index(BUILD) < plan.index("-m pytest")
    assert BUILD not in _plan(house, "test", "auto")
