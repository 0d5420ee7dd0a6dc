"""What a wheel and a source distribution hold, with a toolchain that writes down what it is asked to build."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CRATES = {"cdc/native": "cdc/source/_native.abi3.so", "schemas/native": "schemas/_native.abi3.so"}
TOOLS = {
    "rustc": r"""
case "$*" in
  *--print*) echo 'target_os="linux"' ;;
  *) echo 'rustc 1.95.0 (stub)'; echo 'host: x86_64-unknown-linux-gnu' ;;
esac
""",
    "cargo": r"""
manifest=none
for word in "$@"; do [ "$last" != --manifest-path ] || manifest=$word; last=$word; done
case "$1 $manifest" in
  metadata*) echo "{\"resolve\":{\"root\":\"$manifest\"}}" ;;
  *none) echo --crate-type ;;
  *" $BROKEN/Cargo.toml") echo "it does not compile" >&2; exit 101 ;;
  *) printf %s "$*" > "$manifest.so"
     echo "{\"reason\":\"compiler-artifact\",\"package_id\":\"$manifest\",\
\"target\":{\"kind\":[\"cdylib\"]},\"filenames\":[\"$manifest.so\"]}" ;;
esac
""",
}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """The sources, and next to them a folder of tools."""
    house, tools = tmp_path / "house", tmp_path / "tools"
    built = shutil.ignore_patterns("target", "*.so", "__pycache__", "corpus", "artifacts")
    for name in ("schemas", "ops", "cdc", "sink", "auditor", "stack", "tidemark"):
        shutil.copytree(ROOT / name, house / name, ignore=built)
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, house)
    tools.mkdir()
    for name, script in TOOLS.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}")
        (tools / name).chmod(0o755)
    return house


def _make(house: Path, *command: str, native: str, broken: str = "") -> subprocess.CompletedProcess[str]:
    outer = ("TIDEMARK_NATIVE", "CARGO", "RUSTFLAGS", "PYTHONPATH")
    env = {name: value for name, value in os.environ.items() if name not in outer}
    env |= {"TIDEMARK_NATIVE": native, "BROKEN": broken, "PATH": f"{house.parent / 'tools'}:{env['PATH']}"}
    return subprocess.run(
        [sys.executable, "setup.py", "-q", *command], cwd=house, env=env, capture_output=True, text=True, check=False
    )


def _wheel(house: Path, native: str, broken: str = "") -> tuple[str, dict[str, bytes]]:
    """Its tag, and its files."""
    done = _make(house, "bdist_wheel", native=native, broken=broken)
    assert done.returncode == 0, done.stderr
    [wheel] = (house / "dist").iterdir()
    with zipfile.ZipFile(wheel) as file:
        return wheel.stem.split("-", 2)[2], {name: file.read(name) for name in file.namelist()}


def test_a_wheel_holds_both_extensions_for_every_python(house: Path) -> None:
    tag, files = _wheel(house, "require")
    assert tag.startswith("cp311-abi3-")
    assert not tag.endswith("-any")
    for crate, extension in CRATES.items():
        asked = files[extension].decode()
        assert f"{crate}/Cargo.toml" in asked
        assert "--locked" in asked
        assert "abi3-py311" in asked
        assert "--release" in asked
    assert [name for name in files if name.endswith(".so")] == sorted(CRATES.values())
    assert not [name for name in files if "/native/" in name], "no sources of crates"


def test_a_wheel_without_extensions_is_for_all(house: Path) -> None:
    tag, files = _wheel(house, "off", broken="cdc/native")
    assert tag == "py3-none-any"
    assert not [name for name in files if name.endswith(".so") or "/native/" in name]


@pytest.mark.parametrize("broken", CRATES)
def test_what_does_not_compile_is_left_out_unless_it_is_required(house: Path, broken: str) -> None:
    _, files = _wheel(house, "auto", broken)
    assert {name for name in files if name.endswith(".so")} == set(CRATES.values()) - {CRATES[broken]}
    assert _make(house, "build_ext", "--inplace", native="require", broken=broken).returncode != 0


def test_the_sources_hold_both_crates(house: Path) -> None:
    (house / "schemas/native/target/release").mkdir(parents=True)
    (house / "schemas/native/target/release/build.rs").touch()
    assert _make(house, "sdist", native="auto").returncode == 0
    [sources] = (house / "dist").iterdir()
    with tarfile.open(sources) as file:
        found = {name.partition("/")[2] for name in file.getnames()}
    for crate in CRATES:
        wanted = {
            "Cargo.toml",
            "Cargo.lock",
            *(f"src/{p.relative_to(ROOT / crate / 'src')}" for p in (ROOT / crate / "src").rglob("*.rs")),
        }
        held = {name.removeprefix(f"{crate}/") for name in found if name.startswith(f"{crate}/") and "." in name}
        assert held == wanted
    assert "setup.py" in found, "without it TIDEMARK_NATIVE means nothing"
